/*
 * Who is trusted: a virtualenv's bin/python is a chain of links, made by whoever made the
 * archive. The file at its end is run if root owns it (or we do, where the daemon is an
 * ordinary user with a Python of his own), if nobody else may write to it, and if the
 * same holds for every directory on its resolved path. What lies below the directory
 * that holds all layers and leases is never trusted: it is ours by owner, but somebody
 * else's by content.
 *
 * Not posix_spawn: the program is to die when we do, and to have its limits from the
 * first instruction on.
 */
#include "daemon/worker/interpreter.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/pidfd.h"

#define MEMORY_LIMIT (UINT64_C(4) << 30)
#define CPU_LIMIT_S 600
#define ASK_LIMIT_US 20000000

/* Older ones have another header in their files. */
static const char ask_program[] =
	"import sys, importlib.util as u\n"
	"assert sys.version_info >= (3, 7)\n"
	"sys.stdout.write(sys.implementation.cache_tag + ' ' + u.MAGIC_NUMBER.hex())\n";

/* ---- trust */

static bool is_safe(const char *path, mode_t type)
{
	struct stat st;

	return stat(path, &st) == 0 && (st.st_mode & S_IFMT) == type &&
		(st.st_uid == 0 || st.st_uid == geteuid()) && !(st.st_mode & 022);
}

static bool is_trusted(const char *path)
{
	_cleanup_free_ char *at = text_copy(path);
	bool is_safe_so_far = is_safe(at, S_IFREG);
	char *slash;

	while (is_safe_so_far && (slash = strrchr(at, '/')) && !text_equal(at, "/")) {
		slash[slash == at] = 0;
		is_safe_so_far = is_safe(at, S_IFDIR);
	}
	return is_safe_so_far;
}

/* …/layers/<id> -> … */
static bool find_state(const char *directory, char ret[PATH_MAX])
{
	char *slash;
	int i;

	if (!realpath(directory, ret))
		return false;
	for (i = 0; i < 2; i++) {
		slash = strrchr(ret, '/');
		slash[slash == ret] = 0;
	}
	return true;
}

static bool is_inside(const char *path, const char *directory)
{
	size_t n = strlen(directory);

	return text_equal(directory, "/") || (strncmp(path, directory, n) == 0 && path[n] == '/');
}

static int resolve(
	const char *link, const char *directory, struct interpreter *ret, struct error *err)
{
	char state[PATH_MAX];

	if (!find_state(directory, state) || !realpath(link, ret->path))
		return fail(err, -ENOENT, NULL,
			"no bytecode: its interpreter '%.150s' is not there, or not for the daemon",
			link);
	if (is_inside(ret->path, state))
		return fail(err, -EPERM, NULL,
			"no bytecode: its interpreter is part of an archive, and is not run");
	if (!is_trusted(ret->path) || access(ret->path, X_OK))
		return fail(err, -EPERM, NULL,
			"no bytecode: others than root could change its interpreter '%.120s'",
			ret->path);
	return 0;
}

/* ---- running */

static void limit(int resource, uint64_t value)
{
	const struct rlimit limit = { value, value };

	if (setrlimit(resource, &limit))
		_exit(126);
}

/* In the child, between fork() and exec(): system calls and nothing else. */
static void become(const char *path, const struct interpreter_run *run, int null, pid_t parent)
{
	char *const argv[] = { (char *)path, (char *)"-I", (char *)"-S", (char *)"-X",
		(char *)"utf8", (char *)"-W", (char *)"ignore", (char *)"-c", (char *)run->program,
		NULL };
	char *const environment[] = { (char *)"PATH=/usr/bin:/bin", (char *)"LC_ALL=C.UTF-8",
		NULL };
	sigset_t none;

	if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) || getppid() != parent)
		_exit(126);
	if (dup2(run->in, 0) < 0 || dup2(run->out, 1) < 0 || dup2(null, 2) < 0)
		_exit(126);
	if (run->keep_fd >= 0 && fcntl(run->keep_fd, F_SETFD, 0))
		_exit(126);
	limit(RLIMIT_CORE, 0);
	limit(RLIMIT_FSIZE, 0);
	limit(RLIMIT_CPU, CPU_LIMIT_S);
	limit(RLIMIT_AS, MEMORY_LIMIT);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	execve(path, argv, environment);
	_exit(127);
}

int interpreter_start(
	const struct interpreter *interpreter, const struct interpreter_run *run, pid_t *ret)
{
	_cleanup_close_ int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
	pid_t parent = getpid(), pid;

	if (null < 0)
		return -errno;
	pid = fork();
	if (pid < 0)
		return -errno;
	if (pid == 0)
		become(interpreter->path, run, null, parent);
	*ret = pid;
	return 0;
}

bool interpreter_end(pid_t pid, uint64_t until_us)
{
	_cleanup_close_ int pidfd = pidfd_of(pid);
	struct pollfd p = { .fd = pidfd, .events = POLLIN };
	uint64_t now = clock_now_us();
	int status = -1;

	if (pidfd < 0 || now >= until_us || poll(&p, 1, (int)((until_us - now) / 1000)) != 1)
		kill(pid, SIGKILL);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return status == 0;
}

/* ---- asking */

static int ask(struct interpreter *interpreter)
{
	_cleanup_close_ int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	struct interpreter_run run = { .program = ask_program, .in = null, .keep_fd = -1 };
	char answer[128] = "", hex[16] = "";
	int out[2], r;
	ssize_t n = 0;
	pid_t pid;

	if (null < 0 || pipe2(out, O_CLOEXEC))
		return -errno;
	run.out = out[1];
	r = interpreter_start(interpreter, &run, &pid);
	close(out[1]);
	if (r == 0 && interpreter_end(pid, clock_now_us() + ASK_LIMIT_US))
		n = read(out[0], answer, sizeof(answer) - 1);
	close(out[0]);
	if (r || n <= 0 || sscanf(answer, "%63s %15s", interpreter->tag, hex) != 2 ||
		strchr(interpreter->tag, '/'))
		return -ENOEXEC;
	return hex_parse(hex, interpreter->magic, sizeof(interpreter->magic));
}

int interpreter_find(
	const char *link, const char *directory, struct interpreter *ret, struct error *err)
{
	int r;

	r = resolve(link, directory, ret, err);
	if (r)
		return r;
	if (ask(ret))
		return fail(err, -ENOEXEC, NULL,
			"no bytecode: '%.150s' does not run as a Python of 3.7 or later",
			ret->path);
	return 0;
}
