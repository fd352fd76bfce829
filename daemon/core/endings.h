#pragma once
/*
 * Processes of users that are to be ended, as those users. Loop thread only.
 */
#include "base/list.h"
#include "daemon/core/core.h"

struct endings;

/* From SIGTERM to SIGKILL. Twice this is the longest that one waits to be ended. */
#define ENDINGS_GRACE_MS 2000

/* One, embedded in the struct of whoever wants it. */
struct ending {
	/* filled by the caller */
	struct process process;
	uid_t uid;
	gid_t gid;
	const char *lease; /* borrowed; for the log */
	/* Neither it nor what it led lives any more; or it could not be ended, and is not
	 * tried again. It is not there any more. NULL: it is tried until endings_remove(). */
	void (*ended)(struct ending *ending, int r, const struct error *err);
	/* private to endings.c */
	struct list link; /* endings.waiting, endings.failed or batch.items */
};

struct endings *endings_new(struct core *core);
/* Nothing is in flight. */
struct endings *endings_free(struct endings *endings);

/* Ends it soon. */
void endings_add(struct endings *endings, struct ending *ending);
/* It is wanted no more (what is under way goes on). May be called when it is not there. */
void endings_remove(struct ending *ending);
