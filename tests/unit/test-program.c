#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <signal.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include "base/buffer.h"
#include "base/clock.h"
#include "daemon/worker/probe.h"
#include "daemon/worker/program.h"
#include "tests/support/scratch.h"
#include "tests/support/trees.h"

#define LONG_ENOUGH UINT64_C(300000000)

static char *scratch;
static struct buffer printed;
static struct error err;
static int status;

static void set_up(void)
{
	scratch = scratch_make();
}

static void tear_down(void)
{
	buffer_deinit(&printed);
	scratch_remove(scratch);
}

TestSuite(program, .init = set_up, .fini = tear_down);
TestSuite(probe, .init = set_up, .fini = tear_down);

static void take(void *data, const uint8_t *bytes, size_t size)
{
	buffer_append(&printed, bytes, size);
}

static struct program shell(const char *const *argv)
{
	static const char *const environment[] = { "PATH=/usr/bin:/bin", NULL };

	return (struct program){
		.argv = argv,
		.environment = environment,
		.directory = scratch,
		.until_us = clock_now_us() + LONG_ENOUGH,
		.stop_fd = -1,
		.output = take,
	};
}

static int run(const char *script)
{
	const char *const argv[] = { "/bin/sh", "-c", script, NULL };
	struct program program = shell(argv);

	return program_run(&program, &status, &err);
}

static void expect_printed(const char *text)
{
	buffer_append(&printed, "", 1);
	cr_expect_str_eq((char *)printed.data, text);
}

Test(program, its_output_and_its_end_are_told)
{
	cr_assert_eq(run("echo one; echo two >&2; exit 3"), 0);
	cr_expect(WIFEXITED(status) && WEXITSTATUS(status) == 3);
	expect_printed("one\ntwo\n");
}

Test(program, it_gets_no_variables_of_ours_and_no_descriptors)
{
	cr_assert_eq(setenv("SECRET", "x", 1), 0);
	cr_assert_eq(run("echo \"<$SECRET>\"; ls /proc/$$/fd"), 0);
	expect_printed("<>\n0\n1\n2\n");
}

Test(program, what_cannot_be_started_is_a_failure_and_says_so)
{
	const char *const argv[] = { "/no/such/program", NULL };
	struct program program = shell(argv);

	cr_expect_eq(program_run(&program, &status, &err), -ENOENT);
	cr_expect(strstr(err.text, "/no/such/program"));
}

Test(program, it_is_ended_when_its_time_is_up)
{
	const char *const argv[] = { "/bin/sh", "-c", "trap '' TERM; sleep 1000", NULL };
	struct program program = shell(argv);

	program.until_us = clock_now_us();
	cr_expect_eq(program_run(&program, &status, &err), PROGRAM_E_TIME);
}

Test(program, it_is_ended_when_its_time_is_up_though_it_prints_without_end)
{
	const char *const argv[] = { "/bin/sh", "-c", "exec yes", NULL };
	struct program program = shell(argv);

	program.output = NULL;
	program.until_us = clock_now_us() + 100000;
	cr_expect_eq(program_run(&program, &status, &err), PROGRAM_E_TIME);
}

static int refuse(void *data, struct error *ret)
{
	return fail(ret, -ENOSPC, "NO_SPACE", "enough");
}

Test(program, a_tick_can_end_it)
{
	const char *const argv[] = { "/bin/sh", "-c", "exec yes", NULL };
	struct program program = shell(argv);

	program.output = NULL;
	program.tick = refuse;
	cr_expect_eq(program_run(&program, &status, &err), -ENOSPC);
	cr_expect_str_eq(err.reason, "NO_SPACE");
}

Test(program, it_writes_where_it_may_and_we_elsewhere)
{
	const char *const argv[] = { "/bin/sh", "-c",
		"echo x >inside/file; ln inside/file inside/link; ln inside/file outside;"
		"echo x >outside; echo x >/dev/null && ls . inside",
		NULL };
	_cleanup_free_ char *inside = text_format("%s/inside", scratch);
	struct program program = shell(argv);
	_cleanup_close_ int fd = -1;

	if (syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION) < 2)
		return;
	cr_assert_eq(mkdir(inside, 0777), 0);
	fd = open(inside, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	program.writes_fd = fd;
	cr_assert_eq(program_run(&program, &status, &err), 0);
	cr_expect(trees_exists(scratch, "inside/link"));
	cr_expect_not(trees_exists(scratch, "outside"));
	trees_write(scratch, "ours", "x", 1, 0644);
}

static void expect_dead(const char *file)
{
	_cleanup_free_ char *text = trees_read(scratch, file);

	cr_assert_not_null(text, "%s", file);
	cr_expect(kill((pid_t)atoi(text), 0) && errno == ESRCH, "%s lives", file);
}

Test(program, what_it_leaves_behind_is_dead_when_it_has_ended)
{
	cr_assert_eq(run("setsid sh -c 'trap \"\" HUP TERM; echo $$ > one; "
			 "(setsid sh -c \"echo \\$\\$ > two; exec >&- 2>&-; sleep 1000\" &) ; "
			 "sleep 1000' </dev/null >/dev/null 2>&1 & "
			 "while [ ! -s one ] || [ ! -s two ]; do sleep 0.01; done"),
		0);
	expect_dead("one");
	expect_dead("two");
}

Test(program, when_the_daemon_is_gone_all_ends)
{
	int stop = eventfd(1, EFD_CLOEXEC);
	pid_t pid = fork();

	if (pid == 0) {
		const char *const argv[] = { "/bin/sh", "-c", "echo $$ > one; sleep 1000", NULL };
		struct program program = shell(argv);

		program.stop_fd = stop;
		program_run(&program, &status, &err);
		_exit(77);
	}
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	cr_expect(WIFEXITED(status) && WEXITSTATUS(status) == EXIT_FAILURE);
}

Test(program, offline_means_local_sockets_only)
{
	static const char script[] =
		"import socket\n"
		"def can(*a):\n"
		"    try:\n"
		"        socket.socket(*a).close()\n"
		"        return 1\n"
		"    except PermissionError:\n"
		"        return 0\n"
		"print(can(socket.AF_UNIX), can(socket.AF_INET), can(socket.AF_INET6),\n"
		"      can(socket.AF_NETLINK, socket.SOCK_RAW))\n";
	const char *const argv[] = { "/usr/bin/python3", "-c", script, NULL };
	struct program program = shell(argv);

	cr_assert_eq(program_run(&program, &status, &err), 0);
	expect_printed("1 1 1 1\n");
	buffer_deinit(&printed);
	printed = (struct buffer){ 0 };
	program.is_offline = true;
	cr_assert_eq(program_run(&program, &status, &err), 0);
	expect_printed("1 0 0 0\n");
}

/* ---- who a Python is */

static int ask(struct probe *probe, const char *path)
{
	static struct identity self;

	self = (struct identity){ .uid = geteuid(), .gid = getegid() };
	*probe = (struct probe){ .path = path, .peer = &self, .stop_fd = -1 };
	return probe_run(probe, &err);
}

Test(probe, a_python_says_who_it_is)
{
	struct probe probe;

	cr_assert_eq(ask(&probe, "/usr/bin/python3"), 0, "%s", err.text);
	cr_expect_str_eq(probe.implementation, "cpython");
	cr_expect(text_starts_with(probe.version, "3."));
	cr_expect(text_starts_with(probe.abi, "cpython-3"));
	cr_expect(text_starts_with(probe.platform, "linux-"));
	cr_expect_not(probe.needs_home);
}

static void expect_unusable(const char *script, const char *words)
{
	_cleanup_free_ char *path = text_format("%s/python", scratch);
	struct probe probe;

	trees_write(scratch, "python", script, strlen(script), 0755);
	cr_expect_eq(ask(&probe, path), -EINVAL, "%s", script);
	cr_expect_str_eq(err.reason, "INTERPRETER_UNUSABLE");
	cr_expect(strstr(err.text, words), "%s", err.text);
	cr_expect(strstr(err.text, path), "%s", err.text);
}

Test(probe, what_is_no_python_is_told_with_its_last_words)
{
	expect_unusable("#!/bin/sh\necho fine; echo no module named encodings >&2; exit 1\n",
		"exit code 1): no module named encodings");
	expect_unusable("#!/bin/sh\nkill -SEGV $$\n", "signal 11");
	expect_unusable("#!/bin/sh\n:\n", "exit code 0");
	expect_unusable("#!/no/such/interpreter\n", "cannot be started");
	expect_unusable("garbage", "cannot be started");
	expect_unusable("#!/bin/sh\nprintf '\\npyenvd:cpython|3.1\\n'\n", "exit code 0");
}

Test(probe, one_that_needs_its_home_gets_it)
{
	_cleanup_free_ char *path = text_format("%s/bin/python", scratch);
	struct identity self = { .uid = geteuid(), .gid = getegid() };
	struct probe probe = { .path = path, .home = scratch, .peer = &self, .stop_fd = -1 };
	static const char script[] =
		"#!/bin/sh\n[ \"$PYTHONHOME\" ] || { echo no encodings; exit 1; }\n"
		"unset PYTHONHOME; exec /usr/bin/python3 \"$@\"\n";

	trees_write(scratch, "bin/python", script, strlen(script), 0755);
	cr_expect_eq(probe_run(&probe, &err), -EINVAL);
	cr_expect(strstr(err.text, "no encodings"), "%s", err.text);
	trees_write(scratch, "lib/python3.11/encodings/__init__.py", "", 0, 0644);
	cr_assert_eq(probe_run(&probe, &err), 0, "%s", err.text);
	cr_expect(probe.needs_home);
}
