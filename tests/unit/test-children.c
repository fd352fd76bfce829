#include "base/children.h"

#include <pthread.h>
#include "idler.h"

static bool has(pid_t pid)
{
	_cleanup_children_ struct children children = { 0 };
	size_t i, found = 0;

	children_list(&children);
	for (i = 0; i < children.count; i++)
		found += children.pids[i] == pid;
	cr_expect_leq(found, 1);
	return found;
}

Test(children, each_is_listed_until_it_is_waited_for)
{
	pid_t one = idler_start().pid, two = idler_start().pid;

	cr_expect(has(one));
	cr_expect(has(two));
	idler_kill(one);
	cr_expect_not(has(one));
	cr_expect(has(two));
	idler_kill(two);
	cr_expect_not(has(two));
}

Test(children, neither_we_nor_our_parent_is_one)
{
	cr_expect_not(has(getpid()));
	cr_expect_not(has(getppid()));
}

struct thread {
	pthread_barrier_t started, seen;
	pid_t pid;
};

static void *run(void *data)
{
	struct thread *thread = data;

	thread->pid = idler_start().pid;
	pthread_barrier_wait(&thread->started);
	pthread_barrier_wait(&thread->seen);
	idler_kill(thread->pid);
	return NULL;
}

Test(children, those_of_other_threads_are_ours)
{
	struct thread thread;
	pthread_t id;

	pthread_barrier_init(&thread.started, NULL, 2);
	pthread_barrier_init(&thread.seen, NULL, 2);
	cr_assert_eq(pthread_create(&id, NULL, run, &thread), 0);
	pthread_barrier_wait(&thread.started);
	cr_expect(has(thread.pid));
	pthread_barrier_wait(&thread.seen);
	pthread_join(id, NULL);
}
