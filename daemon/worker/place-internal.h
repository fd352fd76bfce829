#pragma once
/* What place.c and place-write.c share. */
#include <linux/openat2.h>
#include <stdatomic.h>
#include "base/list.h"
#include "base/map.h"
#include "daemon/worker/place.h"

#define PLACE_HOW (RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS)
#define PLACE_MODE_FILE 0444
#define PLACE_MODE_EXECUTABLE 0555
#define PLACE_MODE_MAKING 0700
#define PLACE_MODE_DIRECTORY 0555

struct place_entry {
	struct map_node node; /* place.names; a compared file is not in it */
	struct list link; /* place.links or place.compared, for those */
	char *name, *target; /* owned */
	enum place_type type;
	bool is_executable, mode_unknown, is_implied;
	int64_t mtime; /* -1: none was given */
	uint64_t size;
	uint8_t sha256[SHA256_SIZE];
	struct place_entry *first; /* compared with that one */
};

struct place {
	int tree_fd;
	const char *source;
	struct place_limits limits;
	struct map names;
	struct place_entry **entries; /* owned, all */
	size_t count, allocated;
	struct list symlinks, hardlinks, compared;
	_Atomic uint64_t bytes;
};

struct place_entry *place_find(const struct place *place, const char *name);
/* Takes @name; the entry is in no table yet. */
int place_add_entry(struct place *place, char *name, enum place_type type, struct place_entry **ret,
	struct error *err);
/* Counts, and looks closer once in a while. */
int place_count_bytes(struct place *place, uint64_t size, struct error *err);
int place_fail_write(struct place *place, int r, const char *name, struct error *err);
int place_contradict(struct place *place, const char *name, const char *why, struct error *err);
