#include "proto/worker.h"

#include <errno.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <unistd.h>
#include "proto/wire.h"

#define WORKER_FD 3

int worker_send(int socket, const struct job *job, struct error *err)
{
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(JOB_MAX_FDS * sizeof(int))];
	} control = { 0 };
	_cleanup_buffer_ struct buffer packet = { 0 };
	struct iovec part;
	struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1 };
	int fds[JOB_MAX_FDS], size;
	size_t fd_count;

	wire_encode_job(job, &packet, fds, &fd_count);
	part = (struct iovec){ packet.data, packet.size };
	if (fd_count) {
		message.msg_control = &control;
		message.msg_controllen = CMSG_SPACE(fd_count * sizeof(int));
		control.header.cmsg_level = SOL_SOCKET;
		control.header.cmsg_type = SCM_RIGHTS;
		control.header.cmsg_len = CMSG_LEN(fd_count * sizeof(int));
		memcpy(CMSG_DATA(&control.header), fds, fd_count * sizeof(int));
	}
	size = WORKER_MAX_PACKET;
	setsockopt(socket, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	if (sendmsg(socket, &message, MSG_NOSIGNAL) < 0)
		return fail(err, -EIO, "WORKER_DIED", "cannot hand a job to a worker: %s",
			strerror(errno));
	return 0;
}

static int spawn(const char *program, int socket, pid_t *ret, struct error *err)
{
	char *const argv[] = { (char *)program, NULL };
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	sigset_t none, all;
	int r;

	sigemptyset(&none);
	sigfillset(&all);
	posix_spawn_file_actions_init(&actions);
	posix_spawnattr_init(&attributes);
	posix_spawnattr_setsigmask(&attributes, &none);
	posix_spawnattr_setsigdefault(&attributes, &all);
	posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
	/* dup2 onto itself would leave close-on-exec set; glibc's spawn clears it. */
	posix_spawn_file_actions_adddup2(&actions, socket, WORKER_FD);
	r = posix_spawn(ret, program, &actions, &attributes, argv, environ);
	posix_spawn_file_actions_destroy(&actions);
	posix_spawnattr_destroy(&attributes);
	if (r)
		return fail(err, -EIO, "WORKER_DIED", "cannot start the worker '%s': %s", program,
			strerror(r));
	return 0;
}

int worker_spawn(const char *program, pid_t *pid, int *ret, struct error *err)
{
	int pair[2], r;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair))
		return fail(err, -EIO, "WORKER_DIED", "cannot make a socket for a worker: %s",
			strerror(errno));
	r = spawn(program, pair[1], pid, err);
	close(pair[1]);
	if (r)
		close(pair[0]);
	else
		*ret = pair[0];
	return r;
}
