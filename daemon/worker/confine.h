#pragma once
/* What a worker may do. Before it has more threads than the one that watches. */
#include <stddef.h>
#include <stdint.h>
#include "base/identity.h"

/* Limits of the process; all jobs, first of all. */
int confine_limits(struct error *err);

struct confinement {
	/* It goes on acting as this client: what that takes stays. NULL: no capability is
	 * left, nor can one come back. */
	const struct identity *acts_as;
	bool acts_as_others; /* as whoever it turns out to be, but root */
	/* What it has made for that client it gives to him, and takes back (CAP_CHOWN). */
	bool gives_away;
	/* Nothing on disk can be written but what lies below; -1: nothing at all. */
	int writes_fd;
	bool writes_anywhere;
	/* What lies below these may get names below writes_fd as well. */
	const int *link_fds;
	size_t link_count;
	uint64_t mapped; /* bytes of a source that will be mapped */
};

/* For good. What the kernel lacks is left out. */
int confine(const struct confinement *confinement, struct error *err);
/* A program that was started by who is confined, before it is executed: no more than what
 * lies below @writes_fd can be written by it. */
int confine_program(int writes_fd, struct error *err);
