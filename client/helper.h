#pragma once
/*
 * One job of the daemon's kinds (proto/job.h), done here by a worker process of our own, as
 * the user that we are. One thread.
 */
#include "proto/job.h"
#include "proto/wire.h"

struct helper {
	const char *program; /* pyenvd-worker; borrowed */
	uint32_t threads; /* for one worker */
	struct identity identity; /* ours */
};

int helper_init(struct helper *helper, const char *program, struct error *err);
void helper_deinit(struct helper *helper);

/* What came of a job. */
struct helper_answer {
	struct job_result result;
	struct wire_kept kept; /* what texts in the result belong to */
};

/* Waits for it, and for the worker's end. -ECANCELED: a signal came that is handled. Deinit
 * also after a failure. */
int helper_run(
	struct helper *helper, struct job *job, struct helper_answer *ret, struct error *err);
void helper_answer_deinit(struct helper_answer *answer);
