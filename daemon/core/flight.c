/*
 *	flight_init -> first joins -> submit -> job -> flight_end -> key forgotten
 *	     ^                          ^                  |              |
 *	     | found by its key,        |                  |         waiters told
 *	     | and joined               +------------------+              |
 *	                        stopped, but joined meanwhile          over()
 *
 * Who waits, and what becomes of it when they leave, is the creation's to say (creation.c);
 * what the job is for, and what its answer is worth, the owner's.
 *
 * The key is forgotten before anybody is told: who is told of a failure, and asks again from
 * there, gets a new flight and not the one that has failed.
 *
 * A job that cannot be submitted fails at once; but those who joined are told later, by a
 * timer, for they are still inside creation_join() and do not expect an answer there.
 */
#include "daemon/core/flight.h"

#include "base/clock.h"

void flights_init(struct flights *flights, struct core *core)
{
	*flights = (struct flights){ .core = core };
}

void flights_deinit(struct flights *flights)
{
	map_deinit(&flights->by_key);
}

struct flight *flights_find(const struct flights *flights, const char *key)
{
	struct map_node *node = map_find(&flights->by_key, key);

	return node ? container_of(node, struct flight, node) : NULL;
}

static void work_start(void *data)
{
	struct flight *flight = data;
	struct core *core = flight->flights->core;
	int r;

	flight->begun = clock_unix_ns();
	r = flight->submit ? flight->submit(flight, &flight->err)
			   : pool_submit(core->pool, &flight->job, &flight->err);
	if (r)
		timer_set(core->watch, &flight->failed_early, 0);
}

static void work_stop(void *data)
{
	struct flight *flight = data;

	pool_cancel(flight->flights->core->pool, &flight->job);
}

static void on_failed_early(struct timer *timer)
{
	struct flight *flight = container_of(timer, struct flight, failed_early);

	flight_end(flight, &flight->err);
}

void flight_init(
	struct flight *flight, struct flights *flights, const char *key, const struct peer *peer)
{
	static const struct creation_work work = { work_start, work_stop };

	flight->flights = flights;
	flight->creation = creation_new(&work, flight);
	flight->key = text_copy(key);
	identity_copy(&flight->identity, &peer->identity);
	flight->failed_early.fired = on_failed_early;
	map_add(&flights->by_key, &flight->node, flight->key);
}

void flight_deinit(struct flight *flight)
{
	map_remove(&flight->flights->by_key, &flight->node);
	timer_clear(&flight->failed_early);
	creation_free(flight->creation);
	identity_deinit(&flight->identity);
	free(flight->key);
}

void flight_end(struct flight *flight, const struct error *err)
{
	if (!creation_finish(flight->creation, !err))
		return;
	map_remove(&flight->flights->by_key, &flight->node);
	creation_announce(flight->creation, err);
	flight->over(flight);
}
