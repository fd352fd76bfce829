#include "daemon/jobs/watch.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/fs.h"
#include "base/pidfd.h"
#include "base/proc-stat.h"

struct watch {
	struct event_base *base; /* borrowed */
};

struct watch *watch_new(struct event_base *base)
{
	struct watch *watch = new0(struct watch);

	watch->base = base;
	return watch;
}

struct watch *watch_free(struct watch *watch)
{
	free(watch);
	return NULL;
}

static int read_proc(pid_t pid, const char *file, struct buffer *ret)
{
	char path[64];
	int r;

	snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, file);
	r = fs_read_file(AT_FDCWD, path, 65536, ret);
	if (r == 0)
		buffer_append(ret, "", 1);
	return r;
}

/* The real uid. Not the owner of /proc/<pid>: that is root for programs that may
 * not be dumped. */
static int read_uid(pid_t pid, uid_t *ret)
{
	_cleanup_buffer_ struct buffer status = { 0 };
	const char *line;
	int r;

	r = read_proc(pid, "status", &status);
	if (r)
		return r;
	line = strstr((char *)status.data, "\nUid:\t");
	if (!line)
		return -EBADMSG;
	*ret = (uid_t)strtoul(line + strlen("\nUid:\t"), NULL, 10);
	return 0;
}

/* A pidfd first, then who it is, then whether it is still alive: what was read in
 * between was about this process and no other. */
int process_find(pid_t pid, uid_t uid, struct process *ret, int *ret_pidfd, struct error *err)
{
	_cleanup_close_ int pidfd = -1;
	struct process process = { .pid = pid };
	struct proc_stat stat;
	uid_t owner;
	int r;

	pidfd = pidfd_of(pid);
	if (pidfd == -ESRCH)
		return WATCH_E_GONE;
	if (pidfd < 0)
		return fail_errno(err, pidfd, NULL, "cannot open process %d", (int)pid);
	r = proc_stat_read(pid, &stat);
	if (r == 0)
		r = read_uid(pid, &owner);
	if (r == -ENOENT || r == -ESRCH || pidfd_has_ended(pidfd))
		return WATCH_E_GONE;
	if (r)
		return fail_errno(err, r, NULL, "cannot read about process %d", (int)pid);
	if (owner != uid)
		return WATCH_E_FOREIGN;
	process.start = stat.start;
	*ret = process;
	if (ret_pidfd)
		*ret_pidfd = steal_fd(&pidfd);
	return 0;
}

/* How a process is numbered: by us, and by those who live in its pid namespace. */
struct numbers {
	pid_t parent; /* by us; 0: the daemon does not see it */
	pid_t inner;
	size_t depth; /* 0: the same by both */
};

static int read_numbers(pid_t pid, struct numbers *ret)
{
	_cleanup_buffer_ struct buffer status = { 0 };
	const char *parent, *line;
	char *end;

	*ret = (struct numbers){ 0 };
	if (read_proc(pid, "status", &status))
		return WATCH_E_GONE;
	parent = strstr((char *)status.data, "\nPPid:\t");
	line = strstr((char *)status.data, "\nNSpid:\t");
	if (!parent || !line)
		return WATCH_E_NESTED;
	ret->parent = (pid_t)strtol(parent + strlen("\nPPid:\t"), NULL, 10);
	line += strlen("\nNSpid:");
	for (ret->inner = (pid_t)strtol(line, &end, 10); *end == '\t'; ret->depth++)
		ret->inner = (pid_t)strtol(end, &end, 10);
	return 0;
}

int process_check_namespace(pid_t pid)
{
	struct numbers numbers;

	return read_numbers(pid, &numbers) || numbers.depth ? WATCH_E_NESTED : 0;
}

int process_find_ancestor(pid_t pid, pid_t inner, pid_t *ret)
{
	struct numbers numbers;
	size_t depth;

	if (read_numbers(pid, &numbers))
		return WATCH_E_GONE;
	depth = numbers.depth;
	while (numbers.inner != inner) {
		pid = numbers.parent;
		if (pid <= 0 || read_numbers(pid, &numbers) || numbers.depth != depth)
			return WATCH_E_GONE;
	}
	*ret = pid;
	return 0;
}

static void on_gone(evutil_socket_t fd, short what, void *data)
{
	struct watch_process *watched = data;

	watch_process_stop(watched);
	watched->gone(watched);
}

int watch_process_start(struct watch *watch, struct watch_process *watched, struct error *err)
{
	_cleanup_close_ int pidfd = pidfd_of(watched->process.pid);
	struct proc_stat stat;
	int r;

	if (pidfd == -ESRCH)
		return WATCH_E_GONE;
	if (pidfd < 0)
		return fail_errno(
			err, pidfd, NULL, "cannot watch process %d", (int)watched->process.pid);
	r = proc_stat_read(watched->process.pid, &stat);
	if (r || stat.start != watched->process.start || pidfd_has_ended(pidfd))
		return WATCH_E_GONE;
	fcntl(pidfd, F_SETFD, FD_CLOEXEC);
	watched->pidfd = steal_fd(&pidfd);
	watched->event = event_new(watch->base, watched->pidfd, EV_READ, on_gone, watched);
	event_add(watched->event, NULL);
	return 0;
}

void watch_process_stop(struct watch_process *watched)
{
	if (!watched->event)
		return;
	event_free(watched->event);
	watched->event = NULL;
	close(watched->pidfd);
	watched->pidfd = -1;
}

static void on_timer(evutil_socket_t fd, short what, void *data)
{
	struct timer *timer = data;

	timer_clear(timer);
	timer->fired(timer);
}

void timer_set(struct watch *watch, struct timer *timer, uint64_t ms)
{
	struct timeval t = { .tv_sec = (time_t)(ms / 1000), .tv_usec = (long)(ms % 1000) * 1000 };

	timer_clear(timer);
	timer->event = event_new(watch->base, -1, 0, on_timer, timer);
	event_add(timer->event, &t);
}

void timer_clear(struct timer *timer)
{
	if (!timer->event)
		return;
	event_free(timer->event);
	timer->event = NULL;
}

bool timer_is_set(const struct timer *timer)
{
	return timer->event != NULL;
}

static void on_writable(evutil_socket_t fd, short what, void *data)
{
	struct watch_writable *watched = data;

	watch_writable_stop(watched);
	watched->ready(watched);
}

void watch_writable_start(struct watch *watch, struct watch_writable *watched, int fd)
{
	watched->event = event_new(watch->base, fd, EV_WRITE, on_writable, watched);
	event_add(watched->event, NULL);
}

void watch_writable_stop(struct watch_writable *watched)
{
	if (!watched->event)
		return;
	event_free(watched->event);
	watched->event = NULL;
}
