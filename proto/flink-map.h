#pragma once
/*
 * Flink's configuration: options, and those of them that are maps, pairs of text in
 * their order, each name once. Pure.
 */
#include "proto/spec.h"

struct flink_entry {
	const char *key, *value; /* borrowed */
};

/* The last one with this key; NULL when there is none. */
const char *flink_entry_find(const struct flink_entry *entries, size_t count, const char *key);

struct flink_map {
	struct spec_variable *rows; /* owned */
	size_t count, allocated;
};

void flink_map_deinit(struct flink_map *map);

/* Adds what the option says, or what options of their own say, as OPTION.KEY.
 * @is_there: whether there is any such. -EINVAL with words that name @option and never
 * a value: it may be a secret. */
int flink_map_read(const char *option, const struct flink_entry *entries, size_t count,
	struct flink_map *map, bool *is_there, struct error *err);
/* NULL when it is not there. */
const char *flink_map_find(const struct flink_map *map, const char *name);
