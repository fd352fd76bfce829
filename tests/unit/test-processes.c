#include "daemon/core/processes.h"

#include <event2/event.h>
#include "idler.h"

static struct event_base *base;
static struct watch *watch;
static struct processes processes;
static struct error err;

static struct person {
	struct processes_member member;
	int told;
	struct person *takes_along; /* leaves when this one is told */
} ann, bob, eve;

static void on_gone(struct processes_member *member)
{
	struct person *person = container_of(member, struct person, member);

	cr_expect_null(member->entry);
	person->told++;
	if (person->takes_along)
		processes_leave(&person->takes_along->member);
}

static void set_up(void)
{
	base = event_base_new();
	watch = watch_new(base);
	processes = (struct processes){ .watch = watch, .gone = on_gone };
}

static void tear_down(void)
{
	processes_deinit(&processes);
	watch_free(watch);
	event_base_free(base);
}

TestSuite(processes, .init = set_up, .fini = tear_down);

static void join(struct person *person, struct process process)
{
	cr_assert_eq(
		processes_join(&processes, &process, &person->member, &err), 0, "%s", err.text);
}

static int count_events(void)
{
	return event_base_get_num_events(base, EVENT_BASE_COUNT_ADDED);
}

Test(processes, one_watch_serves_all_and_all_are_told)
{
	struct process process = idler_start(), other = idler_start();

	join(&ann, process);
	join(&bob, process);
	cr_expect_eq(count_events(), 1);
	join(&eve, other);
	cr_expect_eq(count_events(), 2);
	idler_kill(process.pid);
	event_base_loop(base, EVLOOP_ONCE);
	cr_expect(ann.told == 1 && bob.told == 1 && eve.told == 0);
	cr_expect_eq(count_events(), 1);
	processes_leave(&eve.member);
	idler_kill(other.pid);
}

Test(processes, who_has_left_is_not_told_and_the_last_ends_the_watch)
{
	struct process process = idler_start();

	join(&ann, process);
	join(&bob, process);
	processes_leave(&ann.member);
	processes_leave(&ann.member);
	cr_expect_eq(count_events(), 1);
	processes_leave(&bob.member);
	cr_expect_eq(count_events(), 0);
	idler_kill(process.pid);
}

Test(processes, one_who_is_told_may_let_another_leave)
{
	struct process process = idler_start();

	join(&ann, process);
	join(&bob, process);
	join(&eve, process);
	ann.takes_along = &bob;
	eve.takes_along = &ann;
	idler_kill(process.pid);
	event_base_loop(base, EVLOOP_ONCE);
	cr_expect(ann.told == 1 && bob.told == 0 && eve.told == 1);
	cr_expect_eq(count_events(), 0);
}

Test(processes, who_comes_too_late_is_told_so)
{
	struct process process = idler_start(), later = process;

	later.start++;
	cr_expect_eq(processes_join(&processes, &later, &ann.member, &err), PROCESSES_E_GONE);
	idler_kill(process.pid);
	cr_expect_eq(processes_join(&processes, &process, &ann.member, &err), PROCESSES_E_GONE);
	cr_expect_null(ann.member.entry);
	cr_expect_eq(count_events(), 0);
}
