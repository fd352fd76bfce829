/*
 * A worker's life:
 *
 *	   spawn          Opened             last event, exit
 *	------> OPENING ----------> WORKING ------------------> reaped, done()
 *	           |                   |
 *	           | no Opened in time | pool_cancel()
 *	           v                   v
 *	        GIVEN UP            KILLED ---- exit ----> reaped, done(-ECANCELED)
 *	   (done() at once)
 *
 * Two descriptors are watched for each worker: its socket for events, and its
 * pidfd for its end. done() is called at the end and not at the last event, so
 * that the worker's locks and descriptors are gone by then. A worker that is given
 * up is stuck in the kernel, in opening a file of somebody's dead server: it has
 * a SIGKILL pending and nothing else to do, and is reaped whenever it comes back.
 *
 * Heavy jobs (those that read archives), light ones, and those that last as long as a
 * client wants have limits of their own, so that none waits for another: with all heavy
 * slots taken, leases are still removed and paths are still looked up.
 */
#include "daemon/jobs/pool.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include "base/pidfd.h"
#include "daemon/jobs/orphans.h"
#include "proto/wire.h"
#include "proto/worker.h"

enum weight {
	LIGHT,
	HEAVY,
	RECEIVE,
	LONG, /* bounded by those who submit them */
	WEIGHTS,
};

struct worker {
	struct list link; /* pool.workers */
	struct pool *pool;
	struct job *job; /* NULL once done() was called */
	enum weight weight;
	pid_t pid;
	int socket, pidfd;
	struct event *on_socket, *on_exit, *on_timeout;
	bool is_over; /* the last event was here */
	struct error err;
	struct job_result result;
	struct wire_kept kept;
};

/* What a JOB_START has started, where it came to us when its worker ended. */
struct program {
	struct list link; /* pool.programs */
	pid_t pid;
};

struct pool {
	struct event_base *base; /* borrowed */
	struct pool_config config;
	char *program;
	struct list waiting[WEIGHTS]; /* of job.link */
	struct list cancelled; /* of job.link: those that only wait for done() */
	struct list workers; /* of worker.link */
	struct list programs; /* of program.link */
	uint32_t waiting_count;
	uint32_t busy[WEIGHTS];
	struct event *on_start; /* starts what waits, from the loop */
	uint8_t *packet; /* WORKER_MAX_PACKET */
	struct pool_counters counters;
};

static enum weight weigh(const struct job *job)
{
	switch (job->kind) {
	case JOB_EXTRACT:
	case JOB_DIGEST:
	case JOB_COPY:
	case JOB_REQUIREMENTS:
		return HEAVY;
	case JOB_RECEIVE:
		return RECEIVE;
	case JOB_INSTALL:
	case JOB_END_PROCESSES:
	case JOB_START:
		return LONG;
	default:
		return LIGHT;
	}
}

static uint32_t room(const struct pool *pool, enum weight weight)
{
	switch (weight) {
	case HEAVY:
		return pool->config.heavy;
	case LIGHT:
		return pool->config.light;
	case RECEIVE:
		return pool->config.receive;
	default:
		return UINT32_MAX;
	}
}

static void worker_free(struct worker *worker)
{
	list_remove(&worker->link);
	if (worker->on_socket)
		event_free(worker->on_socket);
	if (worker->on_exit)
		event_free(worker->on_exit);
	if (worker->on_timeout)
		event_free(worker->on_timeout);
	cleanup_close(&worker->socket);
	cleanup_close(&worker->pidfd);
	wire_kept_deinit(&worker->kept);
	free(worker);
}

static void start_soon(struct pool *pool)
{
	event_active(pool->on_start, EV_TIMEOUT, 0);
}

/* Ends the job's life here; the worker may live on. */
static void answer(struct worker *worker, int r)
{
	struct pool *pool = worker->pool;
	struct job *job = STEAL(worker->job);

	pool->busy[worker->weight]--;
	pool->counters.running--;
	job->worker = NULL;
	if (r == 0) {
		worker->result.failures = worker->kept.texts;
		worker->result.failure_count = worker->kept.count;
	}
	start_soon(pool);
	job->done(job, r, &worker->result, &worker->err);
}

static void handle_packet(struct worker *worker, const uint8_t *data, size_t size)
{
	struct job_progress progress;
	enum wire_event event;
	int r;

	if (!worker->job || worker->is_over)
		return;
	r = wire_decode_event(worker->job, data, size, &event, &worker->result, &worker->kept,
		&progress, &worker->err);
	if (r) {
		fail(&worker->err, r, "WORKER_DIED", "a worker sent what no worker sends");
		worker->is_over = true;
		kill(worker->pid, SIGKILL);
		return;
	}
	if (worker->on_timeout) {
		event_free(worker->on_timeout);
		worker->on_timeout = NULL;
	}
	if (event == WIRE_RESULT || event == WIRE_FAILURE)
		worker->is_over = true;
	else if (worker->job->cancelled)
		return;
	else if (event == WIRE_DIGESTED && worker->job->digested)
		worker->job->digested(worker->job, &worker->result);
	else if (event == WIRE_STARTED && worker->job->started)
		worker->job->started(worker->job, &worker->result);
	else if (event == WIRE_PROGRESS && worker->job->progress)
		worker->job->progress(worker->job, &progress);
}

/* All packets that are there. False when there will be no more. */
static bool drain(struct worker *worker)
{
	struct pool *pool = worker->pool;

	for (;;) {
		ssize_t n = recv(worker->socket, pool->packet, WORKER_MAX_PACKET, MSG_DONTWAIT);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN;
		if (n == 0)
			return false;
		handle_packet(worker, pool->packet, (size_t)n);
	}
}

static void on_socket(evutil_socket_t fd, short what, void *data)
{
	struct worker *worker = data;

	if (!drain(worker))
		event_del(worker->on_socket);
}

static int judge(struct worker *worker, const siginfo_t *info)
{
	if (worker->job->cancelled)
		return fail(&worker->err, -ECANCELED, "CANCELLED", "the work was stopped");
	if (worker->err.r)
		return worker->err.r;
	if (worker->is_over)
		return 0;
	worker->pool->counters.died++;
	if (info->si_code == CLD_EXITED)
		return fail(&worker->err, -EIO, "WORKER_DIED",
			"the worker process ended without an answer (exit code %d)",
			info->si_status);
	return fail(&worker->err, -EIO, "WORKER_DIED",
		"the worker process was ended by signal %d (%s)", info->si_status,
		strsignal(info->si_status));
}

/* ---- who is our child */

static void note_program(struct pool *pool, const struct job *job, const struct job_result *result)
{
	struct program *program;

	if (job->kind != JOB_START || !orphans_have(result->process.pid))
		return;
	program = new0(struct program);
	program->pid = result->process.pid;
	list_add(&pool->programs, &program->link);
}

/* Workers; and @programs. */
static pid_t *list_ours(const struct pool *pool, bool programs, size_t *count)
{
	pid_t *ours = new0_array(pid_t, list_count(&pool->workers) + list_count(&pool->programs));

	*count = 0;
	list_for_each (link, &pool->workers)
		ours[(*count)++] = container_of(link, struct worker, link)->pid;
	list_for_each (link, &pool->programs)
		if (programs)
			ours[(*count)++] = container_of(link, struct program, link)->pid;
	return ours;
}

/* Programs are nobody else's to wait for. */
static void reap(struct pool *pool)
{
	size_t n;
	_cleanup_free_ pid_t *workers = list_ours(pool, false, &n);

	orphans_reap(workers, n);
	list_for_each_safe (link, &pool->programs) {
		struct program *program = container_of(link, struct program, link);

		if (orphans_have(program->pid))
			continue;
		list_remove(&program->link);
		free(program);
	}
}

static void on_exit_of_worker(evutil_socket_t fd, short what, void *data)
{
	struct worker *worker = data;
	struct pool *pool = worker->pool;
	siginfo_t info = { 0 };
	int r;

	drain(worker);
	if (waitid(P_PIDFD, (id_t)worker->pidfd, &info, WEXITED | WNOHANG) || !info.si_pid)
		return;
	if (worker->job) {
		r = judge(worker, &info);
		if (r == 0)
			note_program(pool, worker->job, &worker->result);
		answer(worker, r);
	}
	worker_free(worker);
	reap(pool);
}

static void on_timeout(evutil_socket_t fd, short what, void *data)
{
	struct worker *worker = data;
	const char *path = job_opened_path(worker->job);

	kill(worker->pid, SIGKILL);
	event_free(worker->on_timeout);
	worker->on_timeout = NULL;
	fail(&worker->err, -ETIMEDOUT, "SOURCE_HUNG",
		"opening '%s' did not end within %u seconds: does its file system still answer?",
		path, worker->pool->config.open_timeout_ms / 1000);
	if (worker->job->cancelled)
		fail(&worker->err, -ECANCELED, "CANCELLED", "the work was stopped");
	answer(worker, worker->err.r);
}

static void watch_worker(struct worker *worker)
{
	struct pool *pool = worker->pool;
	struct timeval limit = {
		.tv_sec = pool->config.open_timeout_ms / 1000,
		.tv_usec = pool->config.open_timeout_ms % 1000 * 1000,
	};

	worker->on_socket = event_new(
		pool->base, worker->socket, EV_READ | EV_PERSIST, on_socket, worker);
	worker->on_exit = event_new(
		pool->base, worker->pidfd, EV_READ | EV_PERSIST, on_exit_of_worker, worker);
	event_add(worker->on_socket, NULL);
	event_add(worker->on_exit, NULL);
	if (!job_opened_path(worker->job))
		return;
	worker->on_timeout = event_new(pool->base, -1, 0, on_timeout, worker);
	event_add(worker->on_timeout, &limit);
}

static int worker_start(struct worker *worker, struct error *err)
{
	struct pool *pool = worker->pool;
	int r;

	r = worker_spawn(pool->program, &worker->pid, &worker->socket, err);
	if (r)
		return r;
	worker->pidfd = pidfd_of(worker->pid);
	if (worker->pidfd < 0) {
		r = fail(err, -EIO, "WORKER_DIED", "cannot watch a worker: %s",
			strerror(-worker->pidfd));
		kill(worker->pid, SIGKILL);
		waitpid(worker->pid, NULL, 0);
		return r;
	}
	fcntl(worker->pidfd, F_SETFD, FD_CLOEXEC);
	pool->counters.started++;
	watch_worker(worker);
	/* A worker that cannot be told its job ends, and with it comes the answer. */
	if (worker_send(worker->socket, worker->job, &worker->err))
		kill(worker->pid, SIGKILL);
	return 0;
}

static void start(struct pool *pool, struct job *job)
{
	struct worker *worker = new0(struct worker);
	int r;

	worker->pool = pool;
	worker->job = job;
	worker->weight = weigh(job);
	worker->socket = worker->pidfd = -1;
	list_add(&pool->workers, &worker->link);
	job->worker = worker;
	pool->busy[worker->weight]++;
	pool->counters.running++;
	if (job->kind == JOB_DIGEST || (job->kind == JOB_EXTRACT && job->extract.hash))
		pool->counters.hashed++;

	r = job->cancelled ? fail(&worker->err, -ECANCELED, "CANCELLED", "the work was stopped")
			   : worker_start(worker, &worker->err);
	if (r) {
		answer(worker, r);
		worker_free(worker);
	}
}

static void on_start(evutil_socket_t fd, short what, void *data)
{
	struct pool *pool = data;
	struct list *link;
	int weight;

	while ((link = list_pop(&pool->cancelled))) {
		pool->waiting_count--;
		start(pool, container_of(link, struct job, link));
	}
	for (weight = 0; weight < WEIGHTS; weight++)
		while (pool->busy[weight] < room(pool, (enum weight)weight) &&
			(link = list_pop(&pool->waiting[weight]))) {
			pool->waiting_count--;
			start(pool, container_of(link, struct job, link));
		}
}

struct pool *pool_new(struct event_base *base, const struct pool_config *config)
{
	struct pool *pool = new0(struct pool);

	pool->base = base;
	pool->config = *config;
	pool->program = text_copy(config->program);
	pool->packet = alloc0(1, WORKER_MAX_PACKET);
	list_init(&pool->waiting[LIGHT]);
	list_init(&pool->waiting[HEAVY]);
	list_init(&pool->waiting[RECEIVE]);
	list_init(&pool->waiting[LONG]);
	list_init(&pool->cancelled);
	list_init(&pool->workers);
	list_init(&pool->programs);
	pool->on_start = event_new(base, -1, 0, on_start, pool);
	return pool;
}

struct pool *pool_free(struct pool *pool)
{
	if (!pool)
		return NULL;
	/* Only workers that were given up can be left. */
	list_for_each_safe (link, &pool->workers)
		worker_free(container_of(link, struct worker, link));
	list_for_each_safe (link, &pool->programs)
		free(container_of(link, struct program, link));
	event_free(pool->on_start);
	free(pool->program);
	free(pool->packet);
	free(pool);
	return NULL;
}

int pool_submit(struct pool *pool, struct job *job, struct error *err)
{
	if (pool->waiting_count >= pool->config.queue)
		return fail(err, -EAGAIN, "TOO_MANY", "%u jobs are waiting for a worker already",
			pool->waiting_count);
	job->cancelled = false;
	job->worker = NULL;
	pool->waiting_count++;
	list_add(&pool->waiting[weigh(job)], &job->link);
	start_soon(pool);
	return 0;
}

void pool_cancel(struct pool *pool, struct job *job)
{
	if (!job_is_in_flight(job))
		return;
	job->cancelled = true;
	if (job->worker && job_runs_programs(job)) {
		shutdown(job->worker->socket, SHUT_RDWR);
		return;
	}
	if (job->worker) {
		kill(job->worker->pid, SIGKILL);
		return;
	}
	list_remove(&job->link);
	list_add(&pool->cancelled, &job->link);
	start_soon(pool);
}

bool pool_end_orphans(struct pool *pool)
{
	size_t n;
	_cleanup_free_ pid_t *ours = list_ours(pool, true, &n);

	return orphans_end(ours, n);
}

bool pool_is_idle(const struct pool *pool)
{
	return pool->counters.running == 0 && pool->waiting_count == 0;
}

bool job_is_in_flight(const struct job *job)
{
	return job->worker || list_is_linked(&job->link);
}

pid_t job_pid(const struct job *job)
{
	return job->worker ? job->worker->pid : 0;
}

const struct pool_counters *pool_get_counters(const struct pool *pool)
{
	return &pool->counters;
}
