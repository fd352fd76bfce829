#pragma once
/*
 * Looking at a client's paths with the client's eyes: at once where the kernel has
 * everything in memory, else by a worker. Loop thread only.
 */
#include "daemon/core/core.h"

struct locate {
	/* to be filled by the caller; borrowed until `done` */
	const char *const *paths; /* the first that is there */
	size_t path_count;
	bool executable; /* a regular file that the peer may execute */
	const struct peer *peer;
	/* Once, unless locate_cancel() came first; never from inside locate_begin().
	 * On success @index says which. */
	void (*done)(struct locate *locate, size_t index, const struct fs_identity *file,
		enum fs_type type, const struct error *err);
	/* private to locate.c */
	struct core *core;
	struct locate_job *job;
	bool is_looked; /* what locate_look() found: */
	int found_r;
	size_t found_index;
	struct fs_identity found_file;
	enum fs_type found_type;
};

/* Looks already, without waiting. The caller acts as the peer (identity_assume()): so
 * several are looked at with one change of identity. Optional. */
void locate_look(struct locate *locate);

enum {
	LOCATE_E_LATER = 1, /* the answer comes through done() */
};

/* 0: found at once, in @index, @file and @type. A failure is always told through
 * done(), or returned when not even a worker could be asked. */
int locate_begin(struct core *core, struct locate *locate, size_t *index, struct fs_identity *file,
	enum fs_type *type, struct error *err);
/* done() will not come. May be called at any time. */
void locate_cancel(struct locate *locate);
