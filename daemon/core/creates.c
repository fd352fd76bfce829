/* All creates that are under way. */
#include <assert.h>
#include "daemon/core/create-work.h"

void creates_visit(struct creates *creates,
	void (*visit)(const struct create_info *info, void *data), void *data)
{
	list_for_each (link, &creates->list) {
		struct create_work *work = container_of(link, struct create_work, link);
		struct create_info info = { .id = work->id, .started = work->started };

		if (!work->create)
			continue;
		info.hash = work->create->result.hash;
		info.label = work->create->spec->label;
		info.uid = work->create->peer->identity.uid;
		visit(&info, data);
	}
}

size_t creates_count(const struct creates *creates)
{
	return list_count(&creates->list);
}

struct creates *creates_new(
	struct core *core, struct digests *digests, struct layers *layers, struct leases *leases)
{
	struct creates *creates = new0(struct creates);

	creates->core = core;
	creates->digests = digests;
	creates->layers = layers;
	creates->leases = leases;
	list_init(&creates->list);
	return creates;
}

struct creates *creates_free(struct creates *creates)
{
	if (!creates)
		return NULL;
	assert(list_is_empty(&creates->list));
	map_deinit(&creates->by_request);
	free(creates);
	return NULL;
}
