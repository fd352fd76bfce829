#include "daemon/worker/start.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include "base/buffer.h"
#include "base/fs.h"
#include "base/proc-stat.h"
#include "proto/launch.h"
#include "tests/support/scratch.h"

#define OPEN_THE_GATE 1
#define SHUT_THE_GATE 2
#define KILL_IT 4
#define OPEN_HALF 8

static char *scratch, *log_path;
static int gate[2];
static struct buffer packed;
static struct identity self;
static pid_t started;
static uint64_t started_at;
static unsigned then;

static void on_started(void *data, pid_t pid, uint64_t start)
{
	cr_expect_eq(data, &self);
	started = pid;
	started_at = start;
	cr_expect_eq(access(log_path, F_OK), -1);
	if (then & OPEN_THE_GATE)
		cr_assert_eq(fs_write_all(gate[1], packed.data, packed.size), 0);
	if (then & OPEN_HALF)
		cr_assert_eq(fs_write_all(gate[1], packed.data, packed.size - 1), 0);
	if (then & KILL_IT)
		cr_assert_eq(kill(pid, SIGKILL), 0);
	if (then)
		close(steal_fd(&gate[1]));
}

static void set_up(void)
{
	scratch = scratch_make();
	log_path = text_format("%s/log", scratch);
	cr_assert_eq(pipe2(gate, O_CLOEXEC), 0);
	self = (struct identity){ .uid = geteuid(), .gid = getegid() };
	/* What is started is then ours to wait for, whoever made it. */
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	/* None of these is to come through. */
	signal(SIGTERM, SIG_IGN);
	umask(0);
	cr_assert_geq(dup2(gate[0], 77), 0);
}

static void tear_down(void)
{
	buffer_deinit(&packed);
	free(log_path);
	scratch_remove(scratch);
}

TestSuite(start, .init = set_up, .fini = tear_down, .timeout = 60);

static int run(const char *program, const char *script, struct error *err)
{
	const char *const arguments[] = { program, "-c", script, NULL };
	const char *const environment[] = { "WORD=one two", NULL };
	const struct launch launch = { scratch, log_path, arguments, environment };
	const struct start start = { &self, gate[0], on_started, &self };

	launch_pack(&launch, &packed);
	return start_run(&start, err);
}

static char *read_log(void)
{
	struct buffer text = { 0 };

	cr_assert_eq(fs_read_file(AT_FDCWD, log_path, 1 << 20, &text), 0);
	return buffer_steal_text(&text);
}

Test(start, it_leads_a_session_and_has_nothing_of_ours)
{
	struct error err = { 0 };
	int status;

	then = OPEN_THE_GATE;
	cr_assert_eq(run("/bin/sh",
			     "echo $WORD; pwd; umask; echo to error >&2; "
			     "ls -m /proc/$$/fd; "
			     "cut -d' ' -f5,6 /proc/$$/stat; readlink /proc/$$/fd/0; "
			     "grep -E 'SigIgn|SigBlk|CapEff|CapPrm|NoNewPrivs' /proc/self/status; "
			     "kill -TERM $$; sleep 1000",
			     &err),
		0);
	cr_assert_eq(waitpid(started, &status, 0), started);
	cr_expect(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);
	_cleanup_free_ char *log = read_log();
	_cleanup_free_ char *expected = text_format(
		"one two\n%s\n0022\nto error\n0, 1, 2\n%d %d\n/dev/null\n"
		"SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n"
		"CapPrm:\t0000000000000000\nCapEff:\t0000000000000000\nNoNewPrivs:\t1\n",
		scratch, (int)started, (int)started);
	cr_expect_str_eq(log, expected);
}

Test(start, it_is_told_by_when_it_began)
{
	struct error err = { 0 };
	struct proc_stat stat;

	then = OPEN_THE_GATE;
	cr_assert_eq(run("/bin/sleep", "1000", &err), 0);
	cr_assert_eq(proc_stat_read(started, &stat), 0);
	cr_expect_eq(stat.start, started_at);
	cr_expect_eq(stat.group, started);
	kill(started, SIGKILL);
}

static void expect_ended(void)
{
	int status;

	cr_expect_eq(waitpid(started, &status, 0), started);
}

Test(start, a_gate_that_is_shut_ends_it)
{
	struct error err = { 0 };

	then = SHUT_THE_GATE;
	cr_expect_eq(run("/bin/sh", "echo here", &err), -ECANCELED);
	expect_ended();
	cr_expect_eq(access(log_path, F_OK), -1);
}

Test(start, a_gate_that_is_shut_too_early_ends_it)
{
	struct error err = { 0 };

	then = OPEN_HALF;
	cr_expect_eq(run("/bin/sh", "echo here", &err), -ECANCELED);
	expect_ended();
	cr_expect_eq(access(log_path, F_OK), -1);
}

Test(start, one_that_is_killed_at_the_gate_is_told)
{
	struct error err = { 0 };

	then = KILL_IT;
	cr_expect_eq(run("/bin/sh", "echo here", &err), -ECANCELED);
	expect_ended();
	cr_expect_eq(access(log_path, F_OK), -1);
}

Test(start, what_cannot_be_executed_is_told)
{
	struct error err = { 0 };

	then = OPEN_THE_GATE;
	cr_expect_eq(run("/nowhere/python", "", &err), -ENOENT);
	cr_expect_not_null(strstr(err.text, "cannot be executed"), "%s", err.text);
	expect_ended();
}

Test(start, a_log_is_not_written_through_a_link)
{
	struct error err = { 0 };
	_cleanup_free_ char *target = text_format("%s/target", scratch);

	cr_assert_eq(symlink(target, log_path), 0);
	then = OPEN_THE_GATE;
	cr_expect_eq(run("/bin/sh", "echo here", &err), -ELOOP);
	cr_expect_not_null(strstr(err.text, "log"), "%s", err.text);
	cr_expect_eq(access(target, F_OK), -1);
	expect_ended();
}
