#pragma once
/*
 * Beam's workers (SDK harnesses) that the daemon itself starts, each in an environment of its
 * own, and stops. Loop thread only.
 */
#include "daemon/core/create.h"

struct harnesses;
struct harness;

struct harnesses *harnesses_new(struct core *core, struct creates *creates, struct leases *leases);
struct harnesses *harnesses_free(struct harnesses *harnesses); /* none is being started */

/* One that is started, embedded in the caller's struct. */
struct harness_start {
	/* filled by the caller; borrowed until harness_leave() */
	struct spec *spec; /* checked (spec_check()); who holds the lease is filled in here */
	const struct peer *peer; /* the runner: with its process the harness ends */
	const char *id; /* Beam's; what lists show of the lease */
	const struct spec_variable *variables; /* set on top of those of the lease */
	size_t variable_count;
	/* Once, unless harness_leave() came first. @err NULL: it was executed. */
	void (*done)(struct harness_start *start, const struct error *err);

	struct harness *harness; /* private to harness.c */
};

/* 0: done() will come. Else a failure, and nothing is left. */
int harness_start(struct harnesses *harnesses, struct harness_start *start, struct error *err);
/* The caller does not wait any more, or its answer is over: unless @delivered, nothing is to be
 * left. May be called at any time, and again. */
void harness_leave(struct harness_start *start, bool delivered);

/* One that is stopped. */
struct harness_stop {
	/* Once, unless harness_stop_leave() came first. @err NULL: neither it nor what is in
	 * its process group lives any more, and its lease has ended. */
	void (*done)(struct harness_stop *stop, const struct error *err);

	struct stopping *stopping; /* private to harness-stop.c */
};

/* Those that this peer's process has started go by their ids; of equal ones, the last. False:
 * there is none (any more), done() will not come. */
bool harness_stop(struct harnesses *harnesses, const struct peer *peer, const char *id,
	struct harness_stop *stop);
/* It is stopped nevertheless. */
void harness_stop_leave(struct harness_stop *stop);
