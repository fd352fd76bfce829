#include "base/children.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

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

static pid_t start(void)
{
	pid_t pid = fork();

	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;)
			pause();
	}
	return pid;
}

static void end(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

Test(children, each_is_listed_until_it_is_waited_for)
{
	pid_t one = start(), two = start();

	cr_expect(has(one));
	cr_expect(has(two));
	end(one);
	cr_expect_not(has(one));
	cr_expect(has(two));
	end(two);
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

	thread->pid = start();
	pthread_barrier_wait(&thread->started);
	pthread_barrier_wait(&thread->seen);
	end(thread->pid);
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
