/*
 * A process that is to run for long holds a lease, so it has to be there before its lease, and
 * may not run before that is on the disk: else a daemon that is killed in between would leave
 * one that nobody knows. So it is made first, and waits.
 *
 *	fork -> nothing of ours is left in it, session, identity -> READY
 *	     -> waits at the gate          the daemon, which alone can open it, makes the lease
 *	     -> GO -> log, directory -> exec
 *
 * Through the gate comes what is to be executed. One that is shut before all of that was there
 * (the daemon has thought better of it, or is gone) ends it, whether we are still there or not.
 *
 * What is executed may be anything of the user's, and is not ours to confine: it has that
 * user's rights, with no_new_privs, and no other. It leads a session, and so a process group,
 * by which it can be ended with what it starts.
 */
#include "daemon/worker/start.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include "base/proc-stat.h"
#include "proto/launch.h"

#define FIRST_FD 3
/* What programs expect where nobody has said more; they may raise it. */
#define USUAL_FILES 1024

enum stage {
	STAGE_READY, /* and waits at the gate */
	STAGE_GO,
	/* Failures. */
	STAGE_PREPARE,
	STAGE_IDENTITY,
	STAGE_READ,
	STAGE_LOG,
	STAGE_DIRECTORY,
	STAGE_EXECUTE,
};

/* From the child; the end of the pipe tells that it was executed, or is dead. */
struct told {
	enum stage stage;
	int r;
};

/* In the child: all that it has, none of which goes through exec. */
struct child {
	int gate, told;
};

static void tell(const struct child *child, enum stage stage, int r)
{
	const struct told told = { stage, r };

	(void)!write(child->told, &told, sizeof(told));
}

static _Noreturn void give_up(const struct child *child, enum stage stage, int r)
{
	tell(child, stage, r);
	_exit(EXIT_FAILURE);
}

/* ---- the child, before the gate */

/* First out of the way of where they are to be. */
static int keep_descriptors(struct child *child)
{
	int *const kept[] = { &child->told, &child->gate };
	const int count = ARRAY_SIZE(kept);
	int i, null;

	for (i = 0; i < count; i++) {
		int fd = fcntl(*kept[i], F_DUPFD_CLOEXEC, FIRST_FD + count);

		if (fd < 0)
			return -errno;
		*kept[i] = fd;
	}
	for (i = 0; i < count; i++) {
		if (dup3(*kept[i], FIRST_FD + i, O_CLOEXEC) < 0)
			return -errno;
		*kept[i] = FIRST_FD + i;
	}
	if (close_range((unsigned)(FIRST_FD + count), ~0U, 0))
		return -errno;
	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (null < 0 || dup2(null, 0) < 0 || dup2(null, 1) < 0 || dup2(null, 2) < 0)
		return -errno;
	return 0;
}

static int prepare(struct child *child)
{
	struct rlimit files;
	sigset_t none;
	int i, r;

	r = keep_descriptors(child);
	if (r)
		return r;
	if (setsid() < 0 || getrlimit(RLIMIT_NOFILE, &files))
		return -errno;
	files.rlim_cur = files.rlim_max < USUAL_FILES ? files.rlim_max : USUAL_FILES;
	if (setrlimit(RLIMIT_NOFILE, &files))
		return -errno;
	for (i = 1; i < NSIG; i++)
		signal(i, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	umask(022);
	return 0;
}

/* ---- the child, behind it */

static int open_log(const char *path)
{
	int log = open(
		path, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC | O_NOCTTY, 0644);

	return log < 0 || dup2(log, 1) < 0 || dup2(log, 2) < 0 ? -errno : 0;
}

static _Noreturn void execute(const struct child *child, const struct launch *launch)
{
	int r = open_log(launch->log);

	if (r)
		give_up(child, STAGE_LOG, r);
	if (chdir(launch->directory))
		give_up(child, STAGE_DIRECTORY, -errno);
	execve(launch->arguments[0], (char *const *)launch->arguments,
		(char *const *)launch->environment);
	give_up(child, STAGE_EXECUTE, -errno);
}

static _Noreturn void become(const struct start *start, int told)
{
	struct child child = { start->gate_fd, told };
	struct launch_read read;
	int r = prepare(&child);

	if (r)
		give_up(&child, STAGE_PREPARE, r);
	if (identity_drop(start->as, NULL))
		give_up(&child, STAGE_IDENTITY, -EPERM);
	tell(&child, STAGE_READY, 0);
	r = launch_read(child.gate, &read);
	if (r == -ENODATA)
		_exit(EXIT_SUCCESS);
	if (r)
		give_up(&child, STAGE_READ, r);
	tell(&child, STAGE_GO, 0);
	execute(&child, &read.launch);
}

/* ---- as ourselves */

static int fail_stage(const struct told *told, struct error *err)
{
	static const char *const words[] = {
		[STAGE_READY] = "a process for the program went astray",
		[STAGE_GO] = "a process for the program went astray",
		[STAGE_PREPARE] = "a process for the program cannot be prepared",
		[STAGE_IDENTITY] = "a process for the program cannot become its user",
		[STAGE_READ] = "it cannot be read what is to be executed",
		[STAGE_LOG] = "the program's log cannot be opened",
		[STAGE_DIRECTORY] = "the program's working directory cannot be entered",
		[STAGE_EXECUTE] = "the program cannot be executed",
	};

	return fail_errno(err, told->r ? told->r : -EIO, NULL, "%s", words[told->stage]);
}

/* False: the end. */
static bool hear(int fd, struct told *ret)
{
	ssize_t n;

	while ((n = read(fd, ret, sizeof(*ret))) < 0 && errno == EINTR)
		;
	return n == sizeof(*ret) && ret->stage <= STAGE_EXECUTE;
}

static int expect(int fd, enum stage stage, struct error *err)
{
	struct told told;

	if (!hear(fd, &told))
		return fail(err, -ECANCELED, "WORKER_DIED",
			"a process for the program was ended before it could execute it");
	return told.stage == stage ? 0 : fail_stage(&told, err);
}

static int follow(const struct start *start, pid_t pid, int told_fd, struct error *err)
{
	struct proc_stat stat;
	struct told told;
	int r;

	r = expect(told_fd, STAGE_READY, err);
	if (r)
		return r;
	r = proc_stat_read(pid, &stat);
	if (r)
		return fail_errno(err, r, NULL, "cannot read about process %d", (int)pid);
	start->started(start->data, pid, stat.start);
	r = expect(told_fd, STAGE_GO, err);
	if (r)
		return r;
	return hear(told_fd, &told) ? fail_stage(&told, err) : 0;
}

int start_run(const struct start *start, struct error *err)
{
	_cleanup_close_ int told = -1;
	int pipe[2], r;
	pid_t pid;

	if (pipe2(pipe, O_CLOEXEC))
		return fail_errno(err, -errno, NULL, "cannot make a pipe");
	told = pipe[0];
	pid = fork();
	if (pid == 0)
		become(start, pipe[1]);
	r = pid < 0 ? -errno : 0;
	close(pipe[1]);
	if (r)
		return fail_errno(err, r, NULL, "cannot make a process");
	/* Who waits needs no rights. */
	r = identity_drop(NULL, err);
	return r ? r : follow(start, pid, told, err);
}
