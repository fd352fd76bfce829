#pragma once
/*
 * The one way to write a tree. Names are taken apart and checked once, here, for all
 * formats; then directories are made, files written, and at the end come symbolic
 * links, hard links, and the directories' final modes and times.
 *
 * place_add() and place_finish_…() belong to one thread. What is done with a struct
 * place_file may happen in any thread, each file in one at a time.
 */
#include <stdbool.h>
#include <stdint.h>
#include "base/error.h"
#include "base/sha256.h"

struct place;

enum {
	PLACE_E_OCCUPIED = 1,
};

/* 0: no limit. */
struct place_limits {
	uint64_t max_bytes, max_entries;
	uint32_t max_depth, max_name, max_ratio;
	uint64_t ratio_floor_bytes, reserve_bytes;
	uint64_t source_bytes; /* what the ratio is taken of */
};

enum place_type {
	PLACE_FILE = 1,
	PLACE_DIRECTORY,
	PLACE_SYMLINK,
	PLACE_HARDLINK,
};

/* An entry as the archive has it. Borrowed during the call. */
struct place_entry_info {
	const char *name; /* bytes as they are */
	enum place_type type;
	bool is_executable;
	bool mode_unknown; /* then a file's content and name tell whether it is executable */
	int64_t mtime; /* seconds; brought between 1970 and 2106 */
	const char *target; /* of links */
	uint64_t size; /* of a file, when known beforehand; else 0 */
};

struct place_entry;

/* Writes beneath @tree_fd (borrowed), which is empty. @source names the archive in
 * messages (borrowed). */
struct place *place_new(int tree_fd, const char *source, const struct place_limits *limits);
struct place *place_free(struct place *place);
DEFINE_CLEANUP(struct place *, place_free);

/* Checks the name and what it would contradict; makes directories. *ret is borrowed
 * from the place; for a file that is there already (which then must have the same
 * content) it is a new one, that is only compared. */
int place_add(struct place *place, const struct place_entry_info *info, struct place_entry **ret,
	struct error *err);
/* Nothing was written yet, and so many bytes will be: -EFBIG, -ENOSPC. */
int place_check_total(struct place *place, uint64_t bytes, struct error *err);
/* Whether the disk has room for so many more. */
int place_check_room(struct place *place, uint64_t wanted, struct error *err);
/* Whether so many bytes may come out of this source at all. Any thread. */
int place_check_ratio(struct place *place, uint64_t bytes, struct error *err);

/* ---- files; any thread */

struct place_file {
	struct place *place;
	struct place_entry *entry;
	struct sha256 *sha256; /* borrowed from the thread */
	int fd; /* -1 until the first byte */
	uint64_t written;
};

void place_file_init(struct place_file *file, struct place *place, struct place_entry *entry,
	struct sha256 *sha256);
int place_file_write(struct place_file *file, const void *data, size_t size, struct error *err);
/* Zeros that need not be written. */
int place_file_skip(struct place_file *file, uint64_t size, struct error *err);
int place_file_end(struct place_file *file, struct error *err);
/* Of the whole content, after place_file_end(). */
const uint8_t *place_file_get_sha256(const struct place_file *file);
/* After a failure; what was written stays. */
void place_file_abandon(struct place_file *file);

/* ---- the end */

/* Symbolic links, hard links, and the comparing of files that came twice. */
int place_finish_links(struct place *place, struct error *err);
/* A file that is made beside the archive's (bytecode), instead of one that is there
 * already; its directory may be made for it, but not that one's. PLACE_E_OCCUPIED when
 * something else is there, or where its directory would be. Write it as any other. */
int place_add_generated(struct place *place, const char *name, int64_t mtime,
	struct place_entry **ret, struct error *err);
/* A file with other content instead of the archive's file @name, of the same mode: write
 * it as any other, the limits hold. What was there is gone; who wants to read it has it
 * open. Names that were hard links to it keep the old content. */
int place_replace(struct place *place, const char *name, int64_t mtime, struct place_entry **ret,
	struct error *err);
/* The file is not there (any more) after all. */
void place_drop(struct place *place, struct place_entry *entry);
/* Modes and times of directories. Nothing can be written afterwards. */
int place_finish_directories(struct place *place, struct error *err);

uint64_t place_get_bytes(const struct place *place); /* of all files */
uint64_t place_get_entries(const struct place *place); /* all kinds */

/* What is there, sorted by name, for the manifest and for looking through. */
struct place_view {
	const char *name; /* NULL: only compared, or dropped */
	enum place_type type;
	bool is_executable;
	int64_t mtime;
	uint64_t size;
	const char *target;
	const uint8_t *sha256;
};

size_t place_sort(struct place *place);
struct place_view place_get(const struct place *place, size_t i);
/* 0 when it is not there. */
enum place_type place_type_of(const struct place *place, const char *name);
