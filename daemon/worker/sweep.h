#pragma once
/*
 * Empties directories, by several threads, each directory below in whichever is free.
 * Nothing is followed. The caller's thread works as well, and alone where @threads is 1.
 */
#include "base/util.h"

struct sweep;

struct sweep_top {
	/* Called in some thread before anything else: a descriptor of the directory, which
	 * the sweep closes, or a negative errno. -ENOENT: it is gone already. */
	int (*open)(struct sweep_top *top);
	/* Called in some thread when it is empty, or as empty as it gets: @r. */
	void (*done)(struct sweep_top *top, int r);
};

/* All of @tops (borrowed), to their end. */
void sweep_run(struct sweep_top *const *tops, size_t count, uint32_t threads);
