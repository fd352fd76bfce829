#pragma once
/*
 * Hash table from text to borrowed pointers; the nodes live in the objects.
 * The key must not change or go away while the node is in the map.
 */
#include <stdbool.h>
#include <stddef.h>

struct map_node {
	struct map_node *next; /* map.buckets[] */
	const char *key; /* borrowed from the object; NULL: in no map */
};

struct map {
	struct map_node **buckets;
	size_t bucket_count, count;
};

void map_deinit(struct map *map); /* the objects are not touched */

/* False, and nothing done, when the key is there already. */
bool map_add(struct map *map, struct map_node *node, const char *key);
/* Does nothing to a node that is in no map. */
void map_remove(struct map *map, struct map_node *node);
/* NULL when there is none. */
struct map_node *map_find(const struct map *map, const char *key);
/* Any node; NULL when the map is empty. */
struct map_node *map_any(const struct map *map);
/* Calls @visit for each, which must not change the map. */
void map_visit(const struct map *map, void (*visit)(struct map_node *node, void *data), void *data);
