#pragma once
/*
 * Bytes for a worker, through a pipe, without ever waiting for it: what the pipe does not
 * take at once is kept here, and written when it does. Embedded in its owner's struct;
 * callbacks come on the loop, never from inside a call of this file. Loop thread only.
 */
#include "base/buffer.h"
#include "daemon/jobs/watch.h"

struct feed {
	/* Set by the owner. All that was kept is in the pipe now. */
	void (*drained)(struct feed *feed);
	/* private to feed.c */
	struct watch *watch; /* borrowed */
	struct watch_writable writable;
	struct buffer kept;
	size_t taken; /* from the front of kept */
	int fd; /* owned */
};

/* @ret_fd is the worker's end; the caller closes it when the worker has its own. */
int feed_open(struct feed *feed, struct watch *watch, int *ret_fd, struct error *err);
/* The bytes are copied where needed. */
void feed_add(struct feed *feed, const void *data, size_t size);
/* Something is kept: better wait for drained() before adding more. */
bool feed_is_full(const struct feed *feed);
/* What is kept is forgotten. May be called when not open. */
void feed_close(struct feed *feed);
