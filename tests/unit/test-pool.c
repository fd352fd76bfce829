#include "daemon/jobs/pool.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <event2/event.h>
#include <signal.h>

static struct event_base *base;
static struct pool *pool;
static int unanswered;

struct task {
	struct job job;
	int answers, r, progresses;
	bool cancels_at_progress;
	struct error err;
	struct job_result result;
	struct task *then; /* submitted from inside done() */
};

static void on_done(
	struct job *job, int r, const struct job_result *result, const struct error *err)
{
	struct task *task = container_of(job, struct task, job);

	task->answers++;
	task->r = r;
	task->err = *err;
	task->result = *result;
	if (task->then)
		cr_assert_eq(pool_submit(pool, &task->then->job, NULL), 0);
	if (--unanswered == 0)
		event_base_loopbreak(base);
}

static void on_progress(struct job *job, const struct job_progress *progress)
{
	struct task *task = container_of(job, struct task, job);

	task->progresses++;
	cr_expect_eq(progress->phase, JOB_PHASE_EXTRACT);
	cr_expect_eq(progress->done_bytes, 17);
	if (task->cancels_at_progress)
		pool_cancel(pool, job);
}

static void make_pool(uint32_t heavy, uint32_t queue, uint32_t open_timeout_ms)
{
	struct pool_config config = {
		.program = getenv("FAKE_WORKER"),
		.heavy = heavy,
		.light = 1,
		.queue = queue,
		.open_timeout_ms = open_timeout_ms,
	};

	cr_assert_not_null(config.program);
	signal(SIGPIPE, SIG_IGN);
	base = event_base_new();
	pool = pool_new(base, &config);
}

static struct task task_of(const char *path)
{
	unanswered++;
	return (struct task){
		.job = {
			.kind = JOB_DIGEST,
			.digest = { .path = path },
			.done = on_done,
			.progress = on_progress,
		},
	};
}

static void run(void)
{
	event_base_dispatch(base);
	cr_assert_eq(unanswered, 0);
	cr_expect(pool_is_idle(pool));
	pool_free(pool);
	event_base_free(base);
}

Test(pool, a_job_is_answered_once)
{
	struct task task = task_of("/answer");

	make_pool(1, 8, 60000);
	cr_assert_eq(pool_submit(pool, &task.job, NULL), 0);
	cr_expect(job_is_in_flight(&task.job));
	run();
	cr_expect_eq(task.answers, 1);
	cr_expect_eq(task.r, 0);
	cr_expect_eq(task.result.sha256[0], 0xab);
	cr_expect_eq(task.result.file.ino, 5);
	cr_expect_not(job_is_in_flight(&task.job));
}

Test(pool, a_failure_comes_with_its_words)
{
	struct task task = task_of("/fail");

	make_pool(1, 8, 60000);
	pool_submit(pool, &task.job, NULL);
	run();
	cr_expect_eq(task.r, -ENOENT);
	cr_expect_str_eq(task.err.reason, "SOURCE_NOT_FOUND");
	cr_expect_str_eq(task.err.text, "'/fail' is not there");
}

static void expect_death(const char *path, const char *words)
{
	struct task task = task_of(path);

	make_pool(1, 8, 60000);
	pool_submit(pool, &task.job, NULL);
	event_base_dispatch(base);
	cr_expect_eq(task.answers, 1);
	cr_expect_lt(task.r, 0);
	cr_expect_str_eq(task.err.reason, "WORKER_DIED");
	cr_expect(strstr(task.err.text, words), "%s", task.err.text);
	run();
}

Test(pool, a_worker_that_ends_fails_its_job_only)
{
	expect_death("/exit", "exit code 3");
	expect_death("/crash", "signal 9");
	expect_death("/nonsense", "no worker sends");
}

Test(pool, a_program_that_is_not_there_fails_the_job)
{
	struct task task = task_of("/answer");

	setenv("FAKE_WORKER", "/nowhere/worker", 1);
	make_pool(1, 8, 60000);
	pool_submit(pool, &task.job, NULL);
	run();
	cr_expect_eq(task.r, -EIO);
	cr_expect(strstr(task.err.text, "/nowhere/worker"));
}

Test(pool, a_running_job_is_cancelled_by_killing_its_worker)
{
	struct task task = task_of("/work");

	task.cancels_at_progress = true;
	make_pool(1, 8, 60000);
	pool_submit(pool, &task.job, NULL);
	run();
	cr_expect_eq(task.progresses, 1);
	cr_expect_eq(task.answers, 1);
	cr_expect_eq(task.r, -ECANCELED);
}

Test(pool, a_waiting_job_is_cancelled_without_a_worker)
{
	struct task first = task_of("/work"), second = task_of("/answer");

	make_pool(1, 8, 60000);
	first.cancels_at_progress = true;
	pool_submit(pool, &first.job, NULL);
	pool_submit(pool, &second.job, NULL);
	pool_cancel(pool, &second.job);
	cr_expect_eq(second.answers, 0, "done() came from inside pool_cancel()");
	run();
	cr_expect_eq(second.answers, 1);
	cr_expect_eq(second.r, -ECANCELED);
}

Test(pool, a_source_that_does_not_open_is_given_up)
{
	struct task task = task_of("/hang");

	make_pool(1, 8, 50);
	pool_submit(pool, &task.job, NULL);
	run();
	cr_expect_eq(task.r, -ETIMEDOUT);
	cr_expect_str_eq(task.err.reason, "SOURCE_HUNG");
	cr_expect(strstr(task.err.text, "/hang"));
}

Test(pool, a_full_queue_refuses)
{
	struct task tasks[3] = { task_of("/answer"), task_of("/answer"), task_of("/answer") };
	struct error err = { 0 };

	make_pool(1, 2, 60000);
	cr_expect_eq(pool_submit(pool, &tasks[0].job, &err), 0);
	cr_expect_eq(pool_submit(pool, &tasks[1].job, &err), 0);
	cr_expect_eq(pool_submit(pool, &tasks[2].job, &err), -EAGAIN);
	cr_expect_str_eq(err.reason, "TOO_MANY");
	unanswered--;
	run();
	cr_expect_eq(tasks[2].answers, 0);
}

Test(pool, a_job_may_follow_from_inside_the_answer)
{
	struct task second = task_of("/answer"), first = task_of("/answer");

	first.then = &second;
	make_pool(1, 8, 60000);
	pool_submit(pool, &first.job, NULL);
	run();
	cr_expect_eq(second.r, 0);
	cr_expect_eq(second.answers, 1);
}
