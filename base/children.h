#pragma once
/*
 * The processes that this one is the parent of, also those that it adopted (as a
 * subreaper). Any thread.
 */
#include <sys/types.h>
#include "base/util.h"

struct children {
	pid_t *pids; /* owned */
	size_t count;
};

/* As far as /proc tells; some may have ended since, and none is waited for here. */
void children_list(struct children *ret);
void children_deinit(struct children *children);

#define _cleanup_children_ _cleanup_(children_deinit)
