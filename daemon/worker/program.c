/*
 *	fork -> session, descriptors, limits, identity, no network -> exec
 *	          | output and ticks until it ends, is out of time, or the daemon is gone
 *	          v
 *	end of all: what it left behind was adopted by us; each is killed, until there is
 *	            no child any more
 *
 * A program may fork and set itself apart as much as it likes: an orphan becomes the child
 * of the nearest subreaper, which we are. That it forks faster than we kill is stopped by
 * kill(-1) where its uid is its own (the kernel lets none of them fork meanwhile), else
 * by its limit of processes.
 *
 * Killing takes the same uid. So what runs as somebody else is killed by a child of ours
 * that has become that user.
 */
#include "daemon/worker/program.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include "base/children.h"
#include "base/clock.h"
#include "base/pidfd.h"
#include "daemon/worker/confine.h"
#include "daemon/worker/offline.h"

#define TICK_MS 200
#define MAX_READS 16 /* a pipe holds no more */
#define MAX_PROCESSES 1024
#define END_TRIES 1000
#define END_PAUSE_MS 10

struct running {
	const struct program *program;
	pid_t pid;
	int pidfd, output, failure;
};

static void running_deinit(struct running *running)
{
	cleanup_close(&running->pidfd);
	cleanup_close(&running->output);
	cleanup_close(&running->failure);
}

/* ---- the child, before exec */

static void limit(int resource, uint64_t value)
{
	const struct rlimit limit = { value, value };

	if (setrlimit(resource, &limit))
		_exit(EXIT_FAILURE);
}

static int prepare(const struct program *program, int null, int output, pid_t parent)
{
	sigset_t none;
	int i;

	if (setsid() < 0 || dup2(null, 0) < 0 || dup2(output, 1) < 0 || dup2(output, 2) < 0 ||
		close_range(3, ~0U, CLOSE_RANGE_CLOEXEC))
		return -errno;
	for (i = 1; i < NSIG; i++)
		signal(i, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	umask(022);
	limit(RLIMIT_CORE, 0);
	if (program->owns_uid)
		limit(RLIMIT_NPROC, MAX_PROCESSES);
	if (program->max_file_bytes)
		limit(RLIMIT_FSIZE, program->max_file_bytes);
	if (identity_drop(program->as, NULL))
		return -EPERM;
	/* Not before: a change of identity takes it back. */
	if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) || getppid() != parent)
		return -ESRCH;
	if (chdir(program->directory))
		return -errno;
	if (program->writes_fd > 0 && confine_program(program->writes_fd, NULL))
		return -EPERM;
	return program->is_offline ? offline() : 0;
}

static void become(const struct program *program, int null, int output, int failure, pid_t parent)
{
	int r = prepare(program, null, output, parent);

	if (r == 0) {
		execve(program->argv[0], (char *const *)program->argv,
			(char *const *)program->environment);
		r = -errno;
	}
	(void)!write(failure, &r, sizeof(r));
	_exit(EXIT_FAILURE);
}

/* ---- the end of all */

static void kill_all(const struct children *children)
{
	size_t i;

	for (i = 0; i < children->count; i++)
		kill(children->pids[i], SIGKILL);
}

/* The child's own /proc/self says nothing of our children. */
static int kill_as(const struct identity *as, bool owns_uid, const struct children *children)
{
	pid_t pid = fork();

	if (pid < 0)
		return -errno;
	if (pid == 0) {
		if (identity_drop(as, NULL))
			_exit(EXIT_FAILURE);
		if (owns_uid)
			kill(-1, SIGKILL);
		else
			kill_all(children);
		_exit(EXIT_SUCCESS);
	}
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	return 0;
}

/* True when no child is left. */
static bool reap(int *status, pid_t wanted)
{
	int each;
	pid_t pid;

	while ((pid = waitpid(-1, &each, WNOHANG)) > 0)
		if (pid == wanted)
			*status = each;
	return pid < 0 && errno == ECHILD;
}

static int end_all(
	const struct identity *as, bool owns_uid, pid_t pid, int *status, struct error *err)
{
	bool is_other = as && as->uid != geteuid();
	int i, r = 0;

	for (i = 0; i < END_TRIES && r == 0; i++) {
		_cleanup_children_ struct children children = { 0 };

		children_list(&children);
		if (is_other)
			r = kill_as(as, owns_uid, &children);
		else
			kill_all(&children);
		if (reap(status, pid))
			return r;
		poll(NULL, 0, END_PAUSE_MS);
	}
	return fail_errno(err, r ? r : -EBUSY, "INTERNAL_ERROR",
		"what a program has started cannot be ended");
}

int program_end_user(const struct identity *identity, struct error *err)
{
	int status;

	return end_all(identity, true, 0, &status, err);
}

/* ---- while it runs */

/* What is there, and not more: one that prints without end is not to keep us here. */
static void take_output(const struct running *running)
{
	uint8_t bytes[65536];
	int i;

	for (i = 0; i < MAX_READS; i++) {
		ssize_t n = read(running->output, bytes, sizeof(bytes));

		if (n <= 0)
			return;
		if (running->program->output)
			running->program->output(running->program->data, bytes, (size_t)n);
	}
}

static int wait_for_end(struct running *running, struct error *err)
{
	const struct program *program = running->program;
	struct pollfd polled[3] = {
		{ .fd = running->pidfd, .events = POLLIN },
		{ .fd = running->output, .events = POLLIN },
		{ .fd = program->stop_fd, .events = POLLIN },
	};
	uint64_t next = clock_now_us();
	int r;

	for (;;) {
		uint64_t now = clock_now_us();

		if (now >= program->until_us)
			return PROGRAM_E_TIME;
		if (now >= next && program->tick) {
			next = now + TICK_MS * 1000;
			r = program->tick(program->data, err);
			if (r)
				return r;
		}
		if (poll(polled, ARRAY_SIZE(polled), TICK_MS) < 0 && errno != EINTR)
			return fail_errno(err, -errno, NULL, "cannot wait for a program");
		if (polled[1].revents & POLLIN)
			take_output(running);
		else if (polled[1].revents)
			polled[1].fd = -1;
		if (polled[0].revents || polled[2].revents)
			return 0;
	}
}

/* ---- the beginning */

static int start(struct running *running, struct error *err)
{
	const struct program *program = running->program;
	_cleanup_close_ int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	int output[2] = { -1, -1 }, failure[2] = { -1, -1 }, r = 0;
	pid_t parent = getpid();

	if (null < 0 || pipe2(output, O_CLOEXEC) || pipe2(failure, O_CLOEXEC))
		r = -errno;
	running->output = output[0];
	running->failure = failure[0];
	if (r == 0) {
		fcntl(output[0], F_SETFL, O_NONBLOCK);
		running->pid = fork();
		if (running->pid == 0)
			become(program, null, output[1], failure[1], parent);
		r = running->pid < 0 ? -errno : 0;
	}
	cleanup_close(&output[1]);
	cleanup_close(&failure[1]);
	if (r)
		return fail_errno(err, r, NULL, "cannot start '%s'", program->argv[0]);
	running->pidfd = pidfd_of(running->pid);
	if (running->pidfd < 0)
		return fail_errno(err, running->pidfd, NULL, "cannot watch '%s'", program->argv[0]);
	return 0;
}

/* What exec() said, when the program came no further than that. */
static int check_start(struct running *running, struct error *err)
{
	int r = 0;

	fcntl(running->failure, F_SETFL, O_NONBLOCK);
	if (read(running->failure, &r, sizeof(r)) != sizeof(r))
		return 0;
	return fail_errno(err, r, NULL, "'%s' cannot be started", running->program->argv[0]);
}

int program_run(const struct program *program, int *status, struct error *err)
{
	_cleanup_(running_deinit) struct running running = { program, 0, -1, -1, -1 };
	struct error end = { 0 };
	int r;

	if (prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0))
		return fail_errno(err, -errno, NULL, "cannot adopt what a program leaves behind");
	*status = -1;
	r = start(&running, err);
	if (r == 0)
		r = wait_for_end(&running, err);
	if (end_all(program->as, program->owns_uid, running.pid, status, &end)) {
		*err = end;
		r = end.r;
	}
	if (program->stop_fd >= 0) {
		struct pollfd p = { .fd = program->stop_fd, .events = POLLIN };

		if (poll(&p, 1, 0) == 1)
			_exit(EXIT_FAILURE);
	}
	if (r < 0)
		return r;
	take_output(&running);
	return r ? r : check_start(&running, err);
}

void program_explain(int status, char *ret, size_t size)
{
	if (WIFSIGNALED(status))
		snprintf(
			ret, size, "signal %d (%s)", WTERMSIG(status), strsignal(WTERMSIG(status)));
	else
		snprintf(ret, size, "exit code %d", WEXITSTATUS(status));
}
