#pragma once
/*
 * Blocking work, done by worker processes: one process a job, a socketpair each.
 *
 * A job is embedded in its caller's struct. Inputs are borrowed: they stay
 * valid and unchanged until `done`. `done` comes once, on the loop, never from
 * inside pool_submit() or pool_cancel(), and not before the worker is gone: from
 * then on nobody writes where the job wrote. (The one exception: a worker that
 * hangs in opening a source is killed and given up; it has written nothing.)
 * Loop thread only.
 */
#include "proto/job.h"

struct event_base;
struct pool;

struct pool_config {
	const char *program; /* path of pyenvd-worker */
	uint32_t heavy, light; /* how many at once: extract, digest, copy; all others */
	uint32_t receive; /* and of those that wait for a client: receive */
	uint32_t queue; /* how many may wait */
	uint32_t open_timeout_ms; /* a source must be open by then (SOURCE_HUNG) */
};

struct pool_counters {
	uint64_t started, died, hashed;
	uint32_t running; /* now */
};

struct pool *pool_new(struct event_base *base, const struct pool_config *config);
/* Nothing may be in flight. */
struct pool *pool_free(struct pool *pool);
DEFINE_CLEANUP(struct pool *, pool_free);

/* -EAGAIN (TOO_MANY): the queue is full, done() will not come. */
int pool_submit(struct pool *pool, struct job *job, struct error *err);
/* The job's result is not wanted any more; done() still comes, later. Does
 * nothing to a job that is not in flight. */
void pool_cancel(struct pool *pool, struct job *job);
/* Ends what a worker that is gone has left behind, as far as it came to us
 * (orphans.h). False: call it again soon. */
bool pool_end_orphans(struct pool *pool);
bool pool_is_idle(const struct pool *pool);
/* Between submit and done. */
bool job_is_in_flight(const struct job *job);
/* Of its worker; 0 while it waits for one. */
pid_t job_pid(const struct job *job);

const struct pool_counters *pool_get_counters(const struct pool *pool);
