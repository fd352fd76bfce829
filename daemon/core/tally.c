#include "daemon/core/tally.h"

#include <assert.h>
#include <stdio.h>
#include "base/util.h"

struct tally_entry {
	struct map_node node; /* tally.map */
	char key[16];
	uint64_t count;
};

static struct tally_entry *find(const struct tally *tally, uid_t uid)
{
	struct map_node *node;
	char key[16];

	snprintf(key, sizeof(key), "%u", (unsigned)uid);
	node = map_find(&tally->map, key);
	return node ? container_of(node, struct tally_entry, node) : NULL;
}

void tally_add(struct tally *tally, uid_t uid)
{
	struct tally_entry *entry = find(tally, uid);

	if (!entry) {
		entry = new0(struct tally_entry);
		snprintf(entry->key, sizeof(entry->key), "%u", (unsigned)uid);
		map_add(&tally->map, &entry->node, entry->key);
	}
	entry->count++;
}

void tally_remove(struct tally *tally, uid_t uid)
{
	struct tally_entry *entry = find(tally, uid);

	assert(entry);
	if (--entry->count)
		return;
	map_remove(&tally->map, &entry->node);
	free(entry);
}

uint64_t tally_get(const struct tally *tally, uid_t uid)
{
	struct tally_entry *entry = find(tally, uid);

	return entry ? entry->count : 0;
}

void tally_deinit(struct tally *tally)
{
	struct map_node *node;

	while ((node = map_any(&tally->map))) {
		map_remove(&tally->map, node);
		free(container_of(node, struct tally_entry, node));
	}
	map_deinit(&tally->map);
}
