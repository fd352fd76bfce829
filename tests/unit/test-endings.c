#include "daemon/core/endings.h"

#include <event2/event.h>
#include "idler.h"

static struct event_base *base;
static struct core core;
static struct endings *endings;

static void set_up_with(const char *program)
{
	struct pool_config config = { .program = getenv(program), .light = 1, .queue = 1 };

	cr_assert_not_null(config.program);
	signal(SIGPIPE, SIG_IGN);
	base = event_base_new();
	core.pool = pool_new(base, &config);
	core.watch = watch_new(base);
	endings = endings_new(&core);
}

static void set_up(void)
{
	set_up_with("WORKER");
}

static void tear_down(void)
{
	endings_free(endings);
	watch_free(core.watch);
	pool_free(core.pool);
	event_base_free(base);
}

TestSuite(endings, .init = set_up, .fini = tear_down);

/* A process that is to be ended. */
static struct ending start(void)
{
	return (struct ending){
		.process = idler_start(),
		.uid = geteuid(),
		.gid = getegid(),
		.lease = "lease-1",
	};
}

/* Until so many workers have been started, and all have ended. */
static void run(uint64_t workers)
{
	while (pool_get_counters(core.pool)->started < workers || !pool_is_idle(core.pool))
		cr_assert_eq(event_base_loop(base, EVLOOP_ONCE), 0);
	cr_expect_eq(pool_get_counters(core.pool)->started, workers);
}

static void expect_ended(const struct ending *ending)
{
	int status;

	cr_assert_eq(waitpid(ending->process.pid, &status, 0), ending->process.pid);
	cr_expect(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);
}

static void expect_alive(const struct ending *ending)
{
	cr_expect_eq(waitpid(ending->process.pid, NULL, WNOHANG), 0);
	kill(ending->process.pid, SIGKILL);
}

Test(endings, all_that_come_together_are_one_job)
{
	struct ending one = start(), two = start(), again = one, not_wanted = start();

	endings_add(endings, &one);
	endings_add(endings, &not_wanted);
	endings_add(endings, &two);
	endings_add(endings, &again);
	endings_remove(&not_wanted);
	run(1);
	expect_ended(&one);
	expect_ended(&two);
	expect_alive(&not_wanted);
	cr_expect_not(list_is_linked(&one.link) || list_is_linked(&again.link));
}

/* One that somebody waits for. */
struct awaited {
	struct ending ending;
	int answers, r;
};

static void on_ended(struct ending *ending, int r, const struct error *err)
{
	struct awaited *awaited = container_of(ending, struct awaited, ending);

	cr_expect_eq(r, err->r);
	cr_expect_not(list_is_linked(&ending->link));
	awaited->answers++;
	awaited->r = r;
}

static struct awaited start_awaited(void)
{
	struct awaited ret = { start(), 0, 0 };

	ret.ending.ended = on_ended;
	return ret;
}

Test(endings, whoever_waits_is_told)
{
	struct awaited one = start_awaited(), other = start_awaited();

	endings_add(endings, &one.ending);
	endings_add(endings, &other.ending);
	run(1);
	expect_ended(&one.ending);
	expect_ended(&other.ending);
	cr_expect(one.answers == 1 && one.r == 0);
	cr_expect(other.answers == 1 && other.r == 0);
}

Test(endings, one_that_comes_later_is_another_job)
{
	struct ending one = start(), two = start();

	endings_add(endings, &one);
	while (pool_is_idle(core.pool))
		event_base_loop(base, EVLOOP_ONCE);
	endings_add(endings, &two);
	run(2);
	expect_ended(&one);
	expect_ended(&two);
}

Test(endings, one_may_be_removed_while_it_is_being_ended)
{
	struct ending one = start();

	endings_add(endings, &one);
	while (pool_is_idle(core.pool))
		event_base_loop(base, EVLOOP_ONCE);
	endings_remove(&one);
	run(1);
	expect_ended(&one);
}

TestSuite(failing_endings, .fini = tear_down);

Test(failing_endings, are_not_tried_again_for_who_is_told)
{
	struct awaited one;
	struct ending other;

	set_up_with("FAKE_WORKER");
	one = start_awaited();
	other = start();
	endings_add(endings, &one.ending);
	endings_add(endings, &other);
	run(1);
	cr_expect(one.answers == 1 && one.r < 0);
	cr_expect(list_is_linked(&other.link));
	endings_remove(&other);
	expect_alive(&one.ending);
	expect_alive(&other);
}

Test(failing_endings, are_tried_again_as_long_as_they_are_wanted)
{
	struct ending one, two;

	set_up_with("FAKE_WORKER");
	one = start();
	two = start();
	endings_add(endings, &one);
	endings_add(endings, &two);
	run(1);
	cr_expect(list_is_linked(&one.link) && list_is_linked(&two.link));
	endings_remove(&one);
	endings_remove(&two);
	expect_alive(&one);
	expect_alive(&two);
}
