#pragma once
/*
 * One piece of work that several wait for.
 *
 * The first to ask starts it, later ones join. When the last waiter leaves, the
 * work is told to stop. Loop thread only.
 */
#include <stdbool.h>
#include "base/error.h"
#include "base/list.h"

struct creation;

struct creation_waiter {
	struct list link; /* creation.waiters, or the list being announced */
	struct creation *creation; /* NULL while not waiting */
	/* Once, never from inside creation_join(). @err is NULL when it went well. The
	 * waiter is detached before the call. */
	void (*done)(struct creation_waiter *waiter, const struct error *err);
};

/* Who does the work. start() must not answer before it has returned. */
struct creation_work {
	void (*start)(void *data);
	void (*stop)(void *data);
};

struct creation *creation_new(const struct creation_work *work, void *data);
struct creation *creation_free(struct creation *creation); /* nobody waits */

void creation_join(struct creation *creation, struct creation_waiter *waiter);
/* Does nothing to a waiter that does not wait. */
void creation_leave(struct creation_waiter *waiter);
size_t creation_count_waiters(const struct creation *creation);

/* The work has ended. True: it is over; take it off all tables, then
 * creation_announce(), then free it. False: it had been stopped before it went
 * well, somebody joined meanwhile, and it was begun anew. */
bool creation_finish(struct creation *creation, bool went_well);

/* Tells every waiter. One may ask for the same thing again from inside done(),
 * which is why the creation must be off the tables by now. @err NULL: it went
 * well. */
void creation_announce(struct creation *creation, const struct error *err);
