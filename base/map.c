/*
 * Chained hash table, FNV-1a. Keys are our own ids and digests, or paths of a
 * peer who can only slow down what is bounded by his own limits anyway.
 */
#include "base/map.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"

static size_t hash(const char *key)
{
	uint64_t h = 0xcbf29ce484222325;

	for (; *key; key++)
		h = (h ^ (unsigned char)*key) * 0x100000001b3;
	return (size_t)(h ^ h >> 32);
}

static struct map_node **slot(const struct map *map, const char *key)
{
	return &map->buckets[hash(key) & (map->bucket_count - 1)];
}

static void grow(struct map *map)
{
	struct map bigger = { .bucket_count = map->bucket_count ? map->bucket_count * 2 : 16 };
	size_t i;

	bigger.buckets = new0_array(struct map_node *, bigger.bucket_count);
	for (i = 0; i < map->bucket_count; i++) {
		struct map_node *node = map->buckets[i];

		while (node) {
			struct map_node *next = node->next, **to = slot(&bigger, node->key);

			node->next = *to;
			*to = node;
			node = next;
		}
	}
	bigger.count = map->count;
	free(map->buckets);
	*map = bigger;
}

void map_deinit(struct map *map)
{
	free(map->buckets);
	*map = (struct map){ 0 };
}

bool map_add(struct map *map, struct map_node *node, const char *key)
{
	struct map_node **to;

	if (map_find(map, key))
		return false;
	if (map->count >= map->bucket_count)
		grow(map);
	to = slot(map, key);
	node->key = key;
	node->next = *to;
	*to = node;
	map->count++;
	return true;
}

void map_remove(struct map *map, struct map_node *node)
{
	struct map_node **at;

	if (!node->key)
		return;
	for (at = slot(map, node->key); *at; at = &(*at)->next)
		if (*at == node) {
			*at = node->next;
			map->count--;
			break;
		}
	*node = (struct map_node){ 0 };
}

struct map_node *map_find(const struct map *map, const char *key)
{
	struct map_node *node;

	if (!map->bucket_count)
		return NULL;
	for (node = *slot(map, key); node; node = node->next)
		if (strcmp(node->key, key) == 0)
			return node;
	return NULL;
}

struct map_node *map_any(const struct map *map)
{
	size_t i;

	for (i = 0; i < map->bucket_count; i++)
		if (map->buckets[i])
			return map->buckets[i];
	return NULL;
}

void map_visit(const struct map *map, void (*visit)(struct map_node *node, void *data), void *data)
{
	size_t i;

	for (i = 0; i < map->bucket_count; i++)
		for (struct map_node *node = map->buckets[i]; node; node = node->next)
			visit(node, data);
}
