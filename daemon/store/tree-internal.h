#pragma once
/* What tree.c and tree-lease.c share. Private to them. */
#include <linux/openat2.h>
#include "daemon/store/tree.h"

/* Never out of the directory, never through a link. */
#define RESOLVE_INSIDE (RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS)

struct tree {
	char *path; /* owned; absolute, without links */
	int state, lock, layers, leases, logs, artifacts; /* owned descriptors */
	bool has_reserve;
};

/* Returns @r, with what it means to a client that @id could not be made. */
int tree_fail_to_make(struct error *err, int r, const char *what, const char *id);
