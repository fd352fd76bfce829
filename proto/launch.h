#pragma once
/*
 * A program that is to be executed by a process that waits for it: from who says what it is,
 * to who becomes it, through a pipe. Any thread.
 */
#include "base/buffer.h"

struct launch {
	const char *directory; /* to start in */
	const char *log; /* what it prints goes to the end of this file; absolute */
	/* Both end with NULL. The first argument is what is executed, by its path; the
	 * environment is "NAME=value". */
	const char *const *arguments, *const *environment;
};

/* What is to be written, all of it, before the pipe is closed. */
void launch_pack(const struct launch *launch, struct buffer *ret);

/* A launch, and what it points into. */
struct launch_read {
	struct launch launch;
	void *area; /* owned */
	size_t size;
};

/* -ENODATA: the end came before all was there, so nothing is to be executed; -EBADMSG: it is
 * nothing that launch_pack() makes; or another negative errno. Takes no lock, not even that of
 * malloc(): for the child of a process that has threads. */
int launch_read(int fd, struct launch_read *ret);
void launch_read_deinit(struct launch_read *read);
