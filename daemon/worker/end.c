/*
 * Whoever is to be ended may be anybody's, and pids are used again: so a process is opened
 * first (a pidfd), then its start time is compared, and from then on it is meant by its
 * descriptor and not by its number.
 *
 * A process that leads its process group is ended with the group; one that does not, alone:
 * its group is somebody else's. What a JVM starts stays in the JVM's group, and two JVMs that
 * one shell has started may share theirs.
 *
 * A group has no descriptor, only the leader's number, and kill() takes that. The kernel gives
 * a number to nobody else while it is a process's or a group's. While the leader's pidfd says
 * that it lives, the number is its own, and so the group is the one that it leads: that is
 * looked at right before each signal. (For the number to mean others by the next system call,
 * the leader and all of its group would have to end in between, and the kernel to go through
 * all other numbers, and the new owner to make a group. Linux 6.9 can signal a group by the
 * leader's pidfd; but there is one way for all kernels.) Once the leader is gone, and the last
 * of the group with it, the number may come to mean others, and is not used any more. But
 * children may stay that do not heed SIGTERM. So that they can be ended nevertheless, all
 * members are opened while the leader lives, and are afterwards signalled one by one, by their
 * own descriptors. What cannot be found in this way is who joined after that and outlives the
 * leader: it is left alone.
 *
 *	open, look for members      all at once, in the worker
 *	SIGTERM                     from here on in a child that has become the user
 *	wait, at most grace_ms
 *	SIGKILL to those who live
 *	wait, at most KILL_MS
 *
 * Only a process of the user's own may signal the user's, for we have no right to signal
 * others. But whoever is the user can be signalled, and stopped, by the user as well: so it is
 * a child that becomes the user, and the worker does not wait for it for ever. The child ends
 * with the worker, and a stopped one too.
 */
#include "daemon/worker/end.h"

#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/fs.h"
#include "base/pidfd.h"
#include "base/proc-stat.h"

#define MAX_MEMBERS 4096
#define KILL_MS 2000
#define SLACK_MS 5000 /* for a child that is kept from running */

struct row {
	pid_t pid;
	int pidfd; /* owned; -1: it has ended, or is not ours to end any more */
	bool leads; /* its process group */
	bool was_led; /* the last signal went to the group */
	const struct row *leader; /* of which it is a member; NULL: it is ended for its own sake */
};

struct rows {
	struct row *rows; /* never moved */
	struct pollfd *polled;
	size_t count, room;
};

static void rows_deinit(struct rows *rows)
{
	size_t i;

	for (i = 0; i < rows->count; i++)
		cleanup_close(&rows->rows[i].pidfd);
	free(rows->rows);
	free(rows->polled);
}

/* ---- who it is */

static bool is_gone(int r)
{
	return r == -ESRCH || r == -ENOENT;
}

static int add_process(struct rows *rows, const struct end_process *process, struct error *err)
{
	_cleanup_close_ int pidfd = -1;
	struct proc_stat stat;
	int r;

	/* To kill(), the negatives of these are all processes and our own group. */
	if (process->pid <= 1)
		return fail(err, -EINVAL, NULL, "process %d is not to be ended", process->pid);
	pidfd = pidfd_of(process->pid);
	r = pidfd < 0 ? pidfd : proc_stat_read(process->pid, &stat);
	if (is_gone(r) || (r == 0 && (stat.start != process->start || pidfd_has_ended(pidfd))))
		return 0;
	if (r)
		return fail_errno(err, r, NULL, "cannot open process %d", process->pid);
	rows->rows[rows->count++] = (struct row){
		.pid = process->pid,
		.pidfd = steal_fd(&pidfd),
		.leads = stat.group == process->pid,
	};
	return 0;
}

static const struct row *find_leader(const struct rows *rows, size_t count, pid_t pid)
{
	struct proc_stat stat;
	size_t i;

	if (proc_stat_read(pid, &stat) || stat.group == pid)
		return NULL;
	for (i = 0; i < count; i++)
		if (rows->rows[i].leads && rows->rows[i].pid == stat.group)
			return &rows->rows[i];
	return NULL;
}

/* The descriptor first, then the group, then whether both still live: so it was this
 * process, and this group. */
static void add_member(struct rows *rows, size_t count, pid_t pid)
{
	const struct row *leader = find_leader(rows, count, pid);
	_cleanup_close_ int pidfd = -1;

	if (!leader || rows->count == rows->room)
		return;
	pidfd = pidfd_of(pid);
	if (pidfd < 0 || find_leader(rows, count, pid) != leader || pidfd_has_ended(pidfd) ||
		pidfd_has_ended(leader->pidfd))
		return;
	rows->rows[rows->count++] = (struct row){
		.pid = pid,
		.pidfd = steal_fd(&pidfd),
		.leader = leader,
	};
}

static void add_members(struct rows *rows)
{
	DIR *processes = opendir("/proc");
	size_t count = rows->count;
	struct dirent *entry;

	while (processes && (entry = readdir(processes))) {
		pid_t pid = (pid_t)strtol(entry->d_name, NULL, 10);

		if (pid > 0)
			add_member(rows, count, pid);
	}
	if (processes)
		closedir(processes);
}

static int open_all(const struct end *end, struct rows *rows, struct error *err)
{
	bool lead = false;
	size_t i;
	int r = 0;

	rows->room = end->count + MAX_MEMBERS;
	rows->rows = new0_array(struct row, rows->room);
	rows->polled = new0_array(struct pollfd, rows->room);
	for (i = 0; i < end->count && r == 0; i++)
		r = add_process(rows, &end->processes[i], err);
	for (i = 0; i < rows->count; i++)
		lead |= rows->rows[i].leads;
	if (r == 0 && lead)
		add_members(rows);
	return r;
}

/* ---- as the user */

/* True when nobody is left. */
static bool drop_ended(struct rows *rows)
{
	bool are_over = true;
	size_t i;

	for (i = 0; i < rows->count; i++) {
		struct row *row = &rows->rows[i];

		bool has_left = row->leader && getpgid(row->pid) != row->leader->pid;

		if (row->pidfd >= 0 && (has_left || pidfd_has_ended(row->pidfd)))
			close(steal_fd(&row->pidfd));
		are_over &= row->pidfd < 0;
	}
	return are_over;
}

static int send_signal(struct row *row, int number)
{
	row->was_led = row->leads && !pidfd_has_ended(row->pidfd);
	if (row->was_led)
		return kill(-row->pid, number) ? -errno : 0;
	if (row->pidfd < 0 || (row->leader && row->leader->was_led))
		return 0;
	return syscall(SYS_pidfd_send_signal, row->pidfd, number, NULL, 0) ? -errno : 0;
}

/* Leaders stand before their members. */
static int signal_all(struct rows *rows, int number)
{
	size_t i;
	int each, r = 0;

	for (i = 0; i < rows->count; i++) {
		each = send_signal(&rows->rows[i], number);
		if (each && each != -ESRCH)
			r = each;
	}
	return r;
}

/* True when nobody is left. */
static bool wait_for_all(struct rows *rows, uint32_t ms)
{
	uint64_t now = clock_now_us(), until = now + ms * UINT64_C(1000);
	size_t i;

	while (!drop_ended(rows)) {
		now = clock_now_us();
		if (now >= until)
			return false;
		for (i = 0; i < rows->count; i++)
			rows->polled[i] = (struct pollfd){
				.fd = rows->rows[i].pidfd,
				.events = POLLIN,
			};
		(void)!poll(rows->polled, rows->count, (int)((until - now + 999) / 1000));
	}
	return true;
}

static int end_all(struct rows *rows, uint32_t grace_ms)
{
	int r;

	if (drop_ended(rows))
		return 0;
	signal_all(rows, SIGTERM);
	if (wait_for_all(rows, grace_ms))
		return 0;
	r = signal_all(rows, SIGKILL);
	if (wait_for_all(rows, KILL_MS))
		return 0;
	return r ? r : -EBUSY;
}

static _Noreturn void become(const struct end *end, struct rows *rows, pid_t parent)
{
	if (identity_drop(end->as, NULL))
		_exit(EPERM);
	/* Becoming somebody clears it. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(ESRCH);
	_exit(-end_all(rows, end->grace_ms));
}

/* ---- as ourselves */

static int wait_for_child(pid_t pid, uint32_t ms)
{
	_cleanup_close_ int pidfd = pidfd_of(pid);
	struct pollfd p = { .fd = pidfd, .events = POLLIN };
	int status, n;

	if (pidfd < 0)
		return pidfd;
	while ((n = poll(&p, 1, (int)ms)) < 0 && errno == EINTR)
		;
	if (n == 0)
		return -ETIMEDOUT;
	waitpid(pid, &status, 0);
	return WIFEXITED(status) ? -WEXITSTATUS(status) : -ECANCELED;
}

int end_run(const struct end *end, struct error *err)
{
	_cleanup_(rows_deinit) struct rows rows = { 0 };
	pid_t pid, parent = getpid();
	int r;

	r = open_all(end, &rows, err);
	if (r || rows.count == 0)
		return r;
	pid = fork();
	if (pid == 0)
		become(end, &rows, parent);
	r = pid < 0 ? -errno : wait_for_child(pid, end->grace_ms + KILL_MS + SLACK_MS);
	return r
		? fail_errno(err, r, NULL, "processes of uid %d cannot be ended", (int)end->as->uid)
		: 0;
}
