#pragma once
/* What place.c, place-file.c and place-finish.c share. Nobody else includes this. */
#include <linux/openat2.h>
#include <stdatomic.h>
#include "base/list.h"
#include "base/map.h"
#include "daemon/worker/place.h"

/* How everything in the tree is opened. */
#define PLACE_HOW (RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS)

struct place_entry {
	struct map_node node; /* place.names; what is only compared is not in it */
	struct list link; /* place.symlinks, hardlinks or compared, for those */
	char *name, *target; /* owned */
	enum place_type type;
	bool is_executable, mode_unknown, is_generated;
	bool is_linked; /* the file has other names, by hard links */
	int64_t mtime; /* -1: none was given */
	uint64_t size;
	uint8_t sha256[SHA256_SIZE];
	struct place_entry *first; /* compared with that one; the file of a hard link */
};

struct place {
	int tree_fd;
	const char *source;
	struct place_limits limits;
	struct map names;
	struct place_entry **entries; /* owned, all */
	size_t count, allocated;
	struct list symlinks, hardlinks, compared;
	_Atomic uint64_t bytes; /* in files of the tree */
	_Atomic uint64_t seen; /* those, and what was only compared */
};

struct place_entry *place_find(const struct place *place, const char *name);
/* A row for @name, which it takes; in no table yet. Limits are the caller's. */
struct place_entry *place_append(struct place *place, char *name, enum place_type type);
/* The directory @name, which it takes, on disk and in the table. */
int place_make_directory(
	struct place *place, char *name, struct place_entry **ret, struct error *err);
int place_fail_write(struct place *place, int r, const char *name, struct error *err);
int place_contradict(struct place *place, const char *name, const char *why, struct error *err);
