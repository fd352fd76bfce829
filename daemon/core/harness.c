/*
 * A harness is a process that holds a lease, whose guardian is the runner that has asked for
 * it; so it needs no state of its own, neither in memory nor on the disk: once it runs, all that
 * is known of it is its lease.
 *
 *	begin -> SPAWN    a worker makes a process, as the runner's user, that waits at a gate
 *	      -> CREATE   as any create, with a lease that this process holds
 *	      -> EXECUTE  what to execute goes through the gate
 *	      -> RUNS     done; the answer is under way
 *	      -> (gone)   the answer is delivered: the lease is there to stay
 *
 *	UNDO: the gate is shut, the lease, if it is there, is released; when the worker has ended,
 *	nothing is left
 *
 * Whatever happens before EXECUTE, also to us, shuts the gate, and the process ends. From then
 * on it can only be ended like others; the lease, which is on the disk by then, leads to it.
 */
#include "daemon/core/harness.h"

#include <assert.h>
#include <errno.h>
#include <unistd.h>
#include "base/log.h"
#include "daemon/core/harness-internal.h"
#include "daemon/jobs/feed.h"
#include "proto/launch.h"

#define LOG "beam-worker.log"
/* The variable that names where Beam may keep what is to last as long as the worker. */
#define DIRECTORY "SEMI_PERSISTENT_DIRECTORY"
#define MODULE "apache_beam.runners.worker.sdk_worker_main"

enum state {
	HARNESS_SPAWN,
	HARNESS_CREATE,
	HARNESS_EXECUTE,
	HARNESS_RUNS,
	HARNESS_UNDO,
};

struct harness {
	struct list link; /* harnesses.starting */
	struct harnesses *harnesses;
	struct harness_start *start; /* borrowed; NULL: nobody waits */
	enum state state;
	struct identity as; /* owned */
	struct job job;
	struct feed gate;
	int gate_fd; /* owned; the worker's end, -1: none */
	struct create create;
	char lease_id[LEASE_ID_LENGTH + 1]; /* while its delivery is under way */
	struct error err; /* of HARNESS_UNDO */
};

static void harness_free(struct harness *harness)
{
	create_abandon(&harness->create);
	feed_close(&harness->gate);
	cleanup_close(&harness->gate_fd);
	identity_deinit(&harness->as);
	list_remove(&harness->link);
	free(harness);
}

/* ---- the end */

static void release_lease(struct harness *harness)
{
	if (*harness->lease_id)
		leases_end_delivery(harness->harnesses->leases, harness->lease_id, false);
	*harness->lease_id = 0;
}

static void end_with(struct harness *harness, const struct error *err)
{
	struct harness_start *start = STEAL(harness->start);
	const struct error copy = *err;

	log_info("harness-failed", "uid=%d reason=%s text='%s'", (int)harness->as.uid, copy.reason,
		LOG_TEXT(copy.text));
	release_lease(harness);
	harness_free(harness);
	if (!start)
		return;
	start->harness = NULL;
	start->done(start, &copy);
}

/* The job is under way, and its end is that of all. */
static void undo(struct harness *harness, const struct error *err)
{
	harness->err = *err;
	harness->state = HARNESS_UNDO;
	create_abandon(&harness->create);
	release_lease(harness);
	feed_close(&harness->gate);
	pool_cancel(harness->harnesses->core->pool, &harness->job);
}

/* An answer that nobody got has started nothing; and what was executed cannot be taken back.
 * The lease stays until that has ended, so that it is not lost if we are. */
static void conclude(struct harness *harness, bool delivered)
{
	struct harnesses *harnesses = harness->harnesses;
	struct lease *lease = leases_find(harnesses->leases, harness->lease_id);

	leases_end_delivery(harnesses->leases, harness->lease_id, true);
	if (!delivered && lease)
		harness_stop_lease(harnesses, lease, NULL);
	harness_free(harness);
}

void harness_leave(struct harness_start *start, bool delivered)
{
	struct harness *harness = STEAL(start->harness);
	struct error err;

	if (!harness)
		return;
	harness->start = NULL;
	fail(&err, -ECANCELED, "CANCELLED", "nobody waits for it any more");
	if (harness->state == HARNESS_RUNS)
		conclude(harness, delivered);
	else if (harness->state == HARNESS_SPAWN || harness->state == HARNESS_CREATE)
		undo(harness, &err);
}

/* ---- the program */

static bool is_overridden(const struct harness_start *start, const char *name)
{
	size_t i;

	for (i = 0; i < start->variable_count; i++)
		if (text_equal(start->variables[i].name, name))
			return true;
	return text_equal(name, DIRECTORY);
}

/* NULL-terminated; the texts are owned as well. */
static char **make_environment(
	const struct harness_start *start, const struct create_result *result)
{
	const struct variables *lease = &result->variables;
	char **ret = new0_array(char *, lease->count + start->variable_count + 2);
	size_t i, count = 0;

	for (i = 0; i < lease->count; i++)
		if (!is_overridden(start, lease->rows[i].name))
			ret[count++] = text_format(
				"%s=%s", lease->rows[i].name, lease->rows[i].value);
	for (i = 0; i < start->variable_count; i++)
		ret[count++] = text_format(
			"%s=%s", start->variables[i].name, start->variables[i].value);
	ret[count] = text_format(DIRECTORY "=%s", result->base_directory);
	return ret;
}

static void free_texts(char ***texts)
{
	char **text;

	for (text = *texts; *text; text++)
		free(*text);
	free(*texts);
}

static void open_gate(struct harness *harness)
{
	const struct create_result *result = &harness->create.result;
	const char *const arguments[] = { result->interpreter, "-m", MODULE, NULL };
	_cleanup_(free_texts) char **environment = make_environment(harness->start, result);
	_cleanup_free_ char *log = text_format("%s/" LOG, result->base_directory);
	_cleanup_buffer_ struct buffer packed = { 0 };
	const struct launch launch = {
		.directory = result->working_directory,
		.log = log,
		.arguments = arguments,
		.environment = (const char *const *)environment,
	};

	launch_pack(&launch, &packed);
	feed_add(&harness->gate, packed.data, packed.size);
	if (!feed_is_full(&harness->gate))
		feed_close(&harness->gate);
}

static void on_drained(struct feed *feed)
{
	feed_close(feed);
}

static void execute(struct harness *harness)
{
	memcpy(harness->lease_id, harness->create.result.lease_id, sizeof(harness->lease_id));
	harness->state = HARNESS_EXECUTE;
	open_gate(harness);
}

/* ---- the lease */

static void on_created(struct create *create, const struct error *err)
{
	struct harness *harness = container_of(create, struct harness, create);

	if (err)
		undo(harness, err);
	else
		execute(harness);
}

/* The process that called, and not one that has its number by now. */
static int check_runner(const struct peer *peer, struct error *err)
{
	const struct process *runner = &peer->process;
	struct process now;

	if (!runner->pid || peer->is_nested)
		return fail(err, -ESRCH, "HOLDER_NOT_VISIBLE",
			"the daemon cannot see the process that asks for a worker, which is to end "
			"with it: it lives in another pid namespace");
	if (process_find(runner->pid, peer->identity.uid, &now, NULL, NULL) ||
		now.start != runner->start)
		return fail(err, -ESRCH, "HOLDER_NOT_VISIBLE",
			"process %d, which has asked for a worker, has ended", (int)runner->pid);
	return 0;
}

static void replace(char **text, char *with)
{
	free(*text);
	*text = with;
}

static int create(struct harness *harness, const struct process *process, struct error *err)
{
	const struct harness_start *start = harness->start;
	struct spec *spec = start->spec;
	int r = check_runner(start->peer, err);

	if (r)
		return r;
	replace(&spec->request_id, text_format(HARNESS_REQUEST "%d", (int)process->pid));
	replace(&spec->label, text_copy(start->id));
	spec->holder = SPEC_HOLDER_PROCESS;
	spec->holder_pid = process->pid;
	spec->guardian_pid = start->peer->process.pid;
	harness->create.spec = spec;
	harness->create.peer = start->peer;
	harness->create.done = on_created;
	return create_begin(harness->harnesses->creates, &harness->create, err);
}

/* ---- the process */

static void on_started(struct job *job, const struct job_result *result)
{
	struct harness *harness = container_of(job, struct harness, job);
	struct error err = { 0 };
	int r;

	harness->state = HARNESS_CREATE;
	r = create(harness, &result->process, &err);
	if (r < 0)
		undo(harness, &err);
	else if (r == 0)
		execute(harness);
}

static void run(struct harness *harness)
{
	struct harness_start *start = harness->start;

	log_info("harness-started", "lease=%s uid=%d interpreter='%s'", harness->lease_id,
		(int)harness->as.uid, LOG_TEXT(harness->create.result.interpreter));
	harness->state = HARNESS_RUNS;
	if (start)
		start->done(start, NULL);
	else
		conclude(harness, false);
}

static void on_job_done(
	struct job *job, int r, const struct job_result *result, const struct error *err)
{
	struct harness *harness = container_of(job, struct harness, job);
	struct error failure = harness->err;

	if (r == 0 && harness->state == HARNESS_EXECUTE) {
		run(harness);
		return;
	}
	if (harness->state != HARNESS_UNDO)
		failure = *err;
	if (harness->state == HARNESS_EXECUTE)
		error_prefix(&failure, "worker by '%s'", harness->create.result.interpreter);
	end_with(harness, &failure);
}

/* ---- the beginning */

static int check_count(const struct harnesses *harnesses, uid_t uid, struct error *err)
{
	uint32_t count = 0, limit = harnesses->core->config.max_creates;

	list_for_each (link, &harnesses->starting)
		count += container_of(link, struct harness, link)->as.uid == uid;
	if (limit && count >= limit)
		return fail(err, -ENOSPC, "TOO_MANY",
			"uid %d has %u workers that are being started already", (int)uid, count);
	return 0;
}

static int submit(struct harness *harness, struct error *err)
{
	struct core *core = harness->harnesses->core;
	int r;

	harness->gate.drained = on_drained;
	r = feed_open(&harness->gate, core->watch, &harness->gate_fd, err);
	if (r)
		return r;
	harness->job = (struct job){
		.kind = JOB_START,
		.peer = &harness->as,
		.start = { .gate_fd = harness->gate_fd },
		.started = on_started,
		.done = on_job_done,
	};
	return pool_submit(core->pool, &harness->job, err);
}

int harness_start(struct harnesses *harnesses, struct harness_start *start, struct error *err)
{
	struct harness *harness;
	int r;

	start->harness = NULL;
	r = check_runner(start->peer, err);
	if (r == 0)
		r = check_count(harnesses, start->peer->identity.uid, err);
	if (r)
		return r;
	harness = new0(struct harness);
	harness->harnesses = harnesses;
	harness->start = start;
	harness->gate_fd = -1;
	identity_copy(&harness->as, &start->peer->identity);
	list_add(&harnesses->starting, &harness->link);
	r = submit(harness, err);
	if (r)
		harness_free(harness);
	else
		start->harness = harness;
	return r;
}

/* ---- all of them */

struct harnesses *harnesses_new(struct core *core, struct creates *creates, struct leases *leases)
{
	struct harnesses *harnesses = new0(struct harnesses);

	harnesses->core = core;
	harnesses->creates = creates;
	harnesses->leases = leases;
	harnesses->endings = endings_new(core);
	list_init(&harnesses->starting);
	list_init(&harnesses->stopping);
	return harnesses;
}

struct harnesses *harnesses_free(struct harnesses *harnesses)
{
	if (!harnesses)
		return NULL;
	assert(list_is_empty(&harnesses->starting));
	harness_forget_stops(harnesses);
	endings_free(harnesses->endings);
	free(harnesses);
	return NULL;
}
