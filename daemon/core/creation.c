/*
 *	   join               last waiter leaves
 *	IDLE ---------> WORKING -----------------> STOPPING
 *	                 |   ^                      |   |
 *	          finish |   | finish, and          |   | finish
 *	                 |   | somebody had joined  |   |
 *	                 v   +----------------------+   |
 *	                OVER <--------------------------+
 *
 * STOPPING is a state because only the end of the work ends the work: whoever
 * joins in that window waits, and the work begins anew. Nobody is refused, and
 * nobody is handed what was half made.
 */
#include "daemon/core/creation.h"

#include <assert.h>

enum state {
	IDLE,
	WORKING,
	STOPPING,
	OVER,
	STATES,
};

struct creation {
	const struct creation_work *work;
	void *data; /* borrowed; who does the work */
	struct list waiters; /* of creation_waiter.link */
	enum state state;
};

static void move(struct creation *creation, enum state to)
{
	static const bool allowed[STATES][STATES] = {
		[IDLE] = { [WORKING] = true },
		[WORKING] = { [STOPPING] = true, [OVER] = true },
		[STOPPING] = { [WORKING] = true, [OVER] = true },
	};

	assert(allowed[creation->state][to]);
	creation->state = to;
}

struct creation *creation_new(const struct creation_work *work, void *data)
{
	struct creation *creation = new0(struct creation);

	creation->work = work;
	creation->data = data;
	list_init(&creation->waiters);
	return creation;
}

struct creation *creation_free(struct creation *creation)
{
	if (!creation)
		return NULL;
	assert(list_is_empty(&creation->waiters));
	free(creation);
	return NULL;
}

void creation_join(struct creation *creation, struct creation_waiter *waiter)
{
	assert(!waiter->creation && creation->state != OVER);
	waiter->creation = creation;
	list_add(&creation->waiters, &waiter->link);
	if (creation->state != IDLE)
		return;
	move(creation, WORKING);
	creation->work->start(creation->data);
}

void creation_leave(struct creation_waiter *waiter)
{
	struct creation *creation = STEAL(waiter->creation);

	if (!creation)
		return;
	list_remove(&waiter->link);
	if (creation->state != WORKING || !list_is_empty(&creation->waiters))
		return;
	move(creation, STOPPING);
	creation->work->stop(creation->data);
}

size_t creation_count_waiters(const struct creation *creation)
{
	return list_count(&creation->waiters);
}

bool creation_finish(struct creation *creation, bool went_well)
{
	if (!went_well && creation->state == STOPPING && !list_is_empty(&creation->waiters)) {
		move(creation, WORKING);
		creation->work->start(creation->data);
		return false;
	}
	move(creation, OVER);
	return true;
}

void creation_announce(struct creation *creation, const struct error *err)
{
	struct list *link;

	assert(creation->state == OVER);
	while ((link = list_pop(&creation->waiters))) {
		struct creation_waiter *waiter = container_of(link, struct creation_waiter, link);

		waiter->creation = NULL;
		waiter->done(waiter, err);
	}
}
