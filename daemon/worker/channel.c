#include "daemon/worker/channel.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>
#include "base/identity.h"
#include "base/utf8.h"
#include "proto/worker-file.h"

#define MAX_PACKET (256 * 1024)

struct channel {
	int fd;
	atomic_int told_fd; /* -1: the process ends when the daemon goes */
};

/* For the signal handler, which gets no pointer: written once, before any mapping. */
static struct {
	int fd;
	size_t size;
	uint8_t packet[2048];
} shrunk;

struct channel *channel_new(int fd)
{
	struct channel *channel = new0(struct channel);

	channel->fd = fd;
	atomic_init(&channel->told_fd, -1);
	/* It came through exec, but goes no further: interpreters are not to speak on it. */
	fcntl(fd, F_SETFD, FD_CLOEXEC);
	return channel;
}

struct channel *channel_free(struct channel *channel)
{
	free(channel);
	return NULL;
}

int channel_receive(struct channel *channel, Pyenvd__Worker__Job **ret, int fds[CHANNEL_MAX_FDS],
	struct error *err)
{
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(CHANNEL_MAX_FDS * sizeof(int))];
	} control;
	_cleanup_free_ uint8_t *packet = malloc(MAX_PACKET);
	struct iovec part = { packet, MAX_PACKET };
	struct msghdr message = {
		.msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control),
	};
	struct cmsghdr *c;
	ssize_t n;
	size_t i;

	for (i = 0; i < CHANNEL_MAX_FDS; i++)
		fds[i] = -1;
	n = packet ? recvmsg(channel->fd, &message, MSG_CMSG_CLOEXEC) : -1;
	if (n <= 0)
		return fail_errno(err, n < 0 ? -errno : -EPIPE, NULL, "no job came");
	if (message.msg_flags & (MSG_TRUNC | MSG_CTRUNC))
		return fail(err, -EMSGSIZE, NULL, "a job came that is too long");
	c = CMSG_FIRSTHDR(&message);
	if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS)
		memcpy(fds, CMSG_DATA(c), c->cmsg_len - CMSG_LEN(0));
	*ret = pyenvd__worker__job__unpack(NULL, (size_t)n, packet);
	return *ret ? 0 : fail(err, -EBADMSG, NULL, "what came is no job");
}

static void *watch(void *data)
{
	struct channel *channel = data;
	struct pollfd p = { .fd = channel->fd, .events = POLLRDHUP };
	int told_fd;

	/* A thread keeps what the others give up; this one needs nothing. */
	if (identity_drop(NULL, NULL))
		_exit(EXIT_FAILURE);
	while (poll(&p, 1, -1) < 0 && errno == EINTR)
		;
	told_fd = atomic_load(&channel->told_fd);
	if (told_fd < 0 || eventfd_write(told_fd, 1))
		_exit(EXIT_FAILURE);
	return NULL;
}

int channel_keep_running(struct channel *channel, int *ret, struct error *err)
{
	int fd = eventfd(0, EFD_CLOEXEC);

	if (fd < 0)
		return fail_errno(err, -errno, NULL, "cannot make an eventfd");
	atomic_store(&channel->told_fd, fd);
	*ret = fd;
	return 0;
}

int channel_watch(struct channel *channel, struct error *err)
{
	sigset_t all, before;
	pthread_t thread;
	int r;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	r = pthread_create(&thread, NULL, watch, channel);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (r)
		return fail_errno(err, -r, NULL, "cannot start a thread");
	pthread_detach(thread);
	return 0;
}

void channel_send(struct channel *channel, const Pyenvd__Worker__Event *event)
{
	_cleanup_free_ uint8_t *packet = malloc(pyenvd__worker__event__get_packed_size(event) + 1);
	size_t size;

	if (!packet)
		abort();
	size = pyenvd__worker__event__pack(event, packet);
	/* A daemon that is gone does not want to know; the watch ends this process. */
	while (send(channel->fd, packet, size, MSG_NOSIGNAL) < 0 && errno == EINTR)
		;
}

/* Names in archives and paths are bytes; a message's strings are text. */
static size_t pack_failure(const struct error *from, uint8_t *packet, size_t room)
{
	struct error copy = *from, *err = &copy;
	Pyenvd__Worker__Failure failure = PYENVD__WORKER__FAILURE__INIT;
	Pyenvd__Worker__Event event = PYENVD__WORKER__EVENT__INIT;

	utf8_repair(err->text, strlen(err->text));
	failure.error = -err->r;
	failure.reason = err->reason;
	failure.text = err->text;
	event.event_case = PYENVD__WORKER__EVENT__EVENT_FAILURE;
	event.failure = &failure;
	if (pyenvd__worker__event__get_packed_size(&event) > room)
		abort();
	return pyenvd__worker__event__pack(&event, packet);
}

void channel_send_failure(struct channel *channel, const struct error *err)
{
	uint8_t packet[2048];
	size_t size = pack_failure(err, packet, sizeof(packet));

	while (send(channel->fd, packet, size, MSG_NOSIGNAL) < 0 && errno == EINTR)
		;
}

void channel_send_done(struct channel *channel)
{
	Pyenvd__Worker__Done done = PYENVD__WORKER__DONE__INIT;
	Pyenvd__Worker__Event event = PYENVD__WORKER__EVENT__INIT;

	event.event_case = PYENVD__WORKER__EVENT__EVENT_DONE;
	event.done = &done;
	channel_send(channel, &event);
}

static void on_bus_error(int signal)
{
	(void)!send(shrunk.fd, shrunk.packet, shrunk.size, MSG_NOSIGNAL);
	_exit(EXIT_FAILURE);
}

void channel_prepare_shrunk(struct channel *channel, const char *path)
{
	struct sigaction action = { .sa_handler = on_bus_error };
	struct error err;

	fail(&err, -ESTALE, "SOURCE_CHANGED", "'%.600s' changed while it was being read", path);
	shrunk.fd = channel->fd;
	shrunk.size = pack_failure(&err, shrunk.packet, sizeof(shrunk.packet));
	sigaction(SIGBUS, &action, NULL);
}

/* ---- reports */

static void on_opened(void *data, const struct fs_identity *file)
{
	Pyenvd__Worker__Opened opened = PYENVD__WORKER__OPENED__INIT;
	Pyenvd__Worker__Event event = PYENVD__WORKER__EVENT__INIT;
	Pyenvd__Worker__FileIdentity identity;

	worker_file_from(file, &identity);
	opened.identity = &identity;
	event.event_case = PYENVD__WORKER__EVENT__EVENT_OPENED;
	event.opened = &opened;
	channel_send(data, &event);
}

static void on_digested(
	void *data, const struct fs_identity *file, const uint8_t sha256[SHA256_SIZE])
{
	Pyenvd__Worker__Digested digested = PYENVD__WORKER__DIGESTED__INIT;
	Pyenvd__Worker__Event event = PYENVD__WORKER__EVENT__INIT;
	Pyenvd__Worker__FileIdentity identity;

	worker_file_from(file, &identity);
	digested.identity = &identity;
	digested.sha256.data = (uint8_t *)sha256;
	digested.sha256.len = SHA256_SIZE;
	event.event_case = PYENVD__WORKER__EVENT__EVENT_DIGESTED;
	event.digested = &digested;
	channel_send(data, &event);
}

static void on_progress(void *data, enum report_phase phase, uint64_t done_bytes,
	uint64_t total_bytes, uint64_t done_entries)
{
	static const Pyenvd__Worker__Phase phases[] = {
		[REPORT_DIGEST] = PYENVD__WORKER__PHASE__PHASE_DIGEST,
		[REPORT_EXTRACT] = PYENVD__WORKER__PHASE__PHASE_EXTRACT,
		[REPORT_BYTECODE] = PYENVD__WORKER__PHASE__PHASE_BYTECODE,
		[REPORT_FINISH] = PYENVD__WORKER__PHASE__PHASE_FINISH,
		[REPORT_INSTALL] = PYENVD__WORKER__PHASE__PHASE_INSTALL,
	};
	Pyenvd__Worker__Progress progress = PYENVD__WORKER__PROGRESS__INIT;
	Pyenvd__Worker__Event event = PYENVD__WORKER__EVENT__INIT;

	progress.phase = phases[phase];
	progress.done_bytes = done_bytes;
	progress.total_bytes = total_bytes;
	progress.done_entries = done_entries;
	event.event_case = PYENVD__WORKER__EVENT__EVENT_PROGRESS;
	event.progress = &progress;
	channel_send(data, &event);
}

struct report *channel_report(struct channel *channel)
{
	const struct report_sink sink = {
		.opened = on_opened,
		.digested = on_digested,
		.progress = on_progress,
		.data = channel,
	};

	return report_new(&sink);
}
