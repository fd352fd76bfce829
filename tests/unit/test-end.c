#include "daemon/worker/end.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include "base/proc-stat.h"

#define LONG_ENOUGH_MS 300000
#define NO_TIME_MS 1

/* What a process does before it waits to be ended. */
enum {
	LEADS = 1, /* a group of its own */
	IGNORES = 2, /* SIGTERM */
	EXITS = 4, /* 7 at SIGTERM */
	HAS_CHILD = 8, /* as it is */
	CHILD_IGNORES = 16, /* SIGTERM, and it does not */
	CHILD_LEAVES = 32, /* the group */
};

static struct error err;
static int status;

static void on_term(int number)
{
	_exit(7);
}

static void sleep_for_ever(int told)
{
	pid_t pid = getpid();

	(void)!write(told, &pid, sizeof(pid));
	for (;;)
		pause();
}

static void be(int what, int told)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (what & LEADS)
		setsid();
	if (what & (IGNORES | CHILD_IGNORES))
		signal(SIGTERM, SIG_IGN);
	if (what & HAS_CHILD && fork() == 0) {
		if (what & CHILD_LEAVES)
			setsid();
		sleep_for_ever(told);
	}
	if (what & CHILD_IGNORES)
		signal(SIGTERM, SIG_DFL);
	if (what & EXITS)
		signal(SIGTERM, on_term);
	sleep_for_ever(told);
}

/* The process, and its child. Both are waiting; whoever is orphaned becomes ours. */
static pid_t start(int what, pid_t *child)
{
	pid_t pid, told;
	int ready[2], i;

	cr_assert_eq(prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0), 0);
	cr_assert_eq(pipe(ready), 0);
	pid = fork();
	if (pid == 0)
		be(what, ready[1]);
	for (i = 0; i < (what & HAS_CHILD ? 2 : 1); i++) {
		cr_assert_eq(read(ready[0], &told, sizeof(told)), (ssize_t)sizeof(told));
		if (told != pid)
			*child = told;
	}
	close(ready[0]);
	close(ready[1]);
	return pid;
}

static struct end_process process_of(pid_t pid)
{
	struct proc_stat stat;

	cr_assert_eq(proc_stat_read(pid, &stat), 0);
	return (struct end_process){ pid, stat.start };
}

static int end_those(const struct end_process *processes, size_t count, uint32_t grace_ms)
{
	const struct identity self = { .uid = geteuid(), .gid = getegid() };
	const struct end end = { &self, processes, count, grace_ms };

	return end_run(&end, &err);
}

static int end_one(pid_t pid, uint32_t grace_ms)
{
	const struct end_process process = process_of(pid);

	return end_those(&process, 1, grace_ms);
}

static void expect_ended_by(pid_t pid, int number)
{
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	cr_expect(WIFSIGNALED(status) && WTERMSIG(status) == number, "%d: status %x", (int)pid,
		status);
}

/* Not even a signal that is still to be taken. */
static void expect_alive(pid_t pid)
{
	cr_expect_eq(waitpid(pid, &status, WNOHANG), 0);
	kill(pid, SIGKILL);
	expect_ended_by(pid, SIGKILL);
}

Test(end, a_process_is_told_to_end_and_given_time)
{
	pid_t pid = start(EXITS, NULL);

	cr_assert_eq(end_one(pid, LONG_ENOUGH_MS), 0, "%s", err.text);
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	cr_expect(WIFEXITED(status) && WEXITSTATUS(status) == 7);
}

Test(end, one_that_does_not_listen_is_killed)
{
	pid_t pid = start(IGNORES, NULL);

	cr_assert_eq(end_one(pid, NO_TIME_MS), 0, "%s", err.text);
	expect_ended_by(pid, SIGKILL);
}

Test(end, one_that_is_stopped_is_killed)
{
	pid_t pid = start(0, NULL);

	cr_assert_eq(kill(pid, SIGSTOP), 0);
	cr_assert_eq(waitpid(pid, &status, WUNTRACED), pid);
	cr_assert_eq(end_one(pid, NO_TIME_MS), 0, "%s", err.text);
	expect_ended_by(pid, SIGKILL);
}

Test(end, whoever_has_the_pid_by_now_is_left_alone)
{
	pid_t pid = start(0, NULL);
	struct end_process process = process_of(pid);

	process.start--;
	cr_expect_eq(end_those(&process, 1, NO_TIME_MS), 0);
	expect_alive(pid);
	process.start++;
	cr_expect_eq(end_those(&process, 1, NO_TIME_MS), 0, "it is gone");
}

Test(end, numbers_that_mean_many_are_refused)
{
	struct end_process process = { .start = 0 };

	for (process.pid = -1; process.pid <= 1; process.pid++) {
		err = (struct error){ 0 };
		cr_expect_eq(end_those(&process, 1, NO_TIME_MS), -EINVAL);
		cr_expect(strstr(err.text, "not to be ended"));
	}
}

Test(end, who_leads_a_group_is_ended_with_it)
{
	pid_t child, pid = start(LEADS | HAS_CHILD, &child);

	cr_assert_eq(end_one(pid, LONG_ENOUGH_MS), 0, "%s", err.text);
	expect_ended_by(pid, SIGTERM);
	expect_ended_by(child, SIGTERM);
}

Test(end, a_group_that_does_not_listen_is_killed)
{
	pid_t child, pid = start(LEADS | IGNORES | HAS_CHILD, &child);

	cr_assert_eq(end_one(pid, NO_TIME_MS), 0, "%s", err.text);
	expect_ended_by(pid, SIGKILL);
	expect_ended_by(child, SIGKILL);
}

Test(end, whoever_outlives_the_leader_is_killed)
{
	pid_t child, pid = start(LEADS | HAS_CHILD | CHILD_IGNORES, &child);

	cr_assert_eq(end_one(pid, 100), 0, "%s", err.text);
	expect_ended_by(pid, SIGTERM);
	expect_ended_by(child, SIGKILL);
}

Test(end, whoever_has_left_the_group_is_left_alone)
{
	pid_t child, pid = start(LEADS | HAS_CHILD | CHILD_LEAVES, &child);

	cr_assert_eq(end_one(pid, LONG_ENOUGH_MS), 0, "%s", err.text);
	expect_ended_by(pid, SIGTERM);
	expect_alive(child);
}

Test(end, who_does_not_lead_a_group_is_ended_alone)
{
	pid_t child, other = start(LEADS, NULL), pid = start(HAS_CHILD, &child);

	cr_assert_eq(setpgid(pid, getpgrp()), 0);
	cr_assert_eq(end_one(pid, LONG_ENOUGH_MS), 0, "%s", err.text);
	expect_ended_by(pid, SIGTERM);
	expect_alive(child);
	expect_alive(other);
}

Test(end, several_are_ended_at_once)
{
	pid_t child, one = start(IGNORES, NULL), two = start(LEADS | HAS_CHILD, &child);
	pid_t three = start(0, NULL), other = start(LEADS, NULL);
	const struct end_process processes[] = { process_of(one), process_of(two),
		process_of(three) };

	cr_assert_eq(end_those(processes, 3, 100), 0, "%s", err.text);
	expect_ended_by(one, SIGKILL);
	expect_ended_by(two, SIGTERM);
	expect_ended_by(child, SIGTERM);
	expect_ended_by(three, SIGTERM);
	expect_alive(other);
}
