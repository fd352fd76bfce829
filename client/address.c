#include "client/address.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>
#include "base/util.h"

char *address_choose(const struct address_hints *hints)
{
	_cleanup_free_ char *own = NULL;

	if (!text_is_empty(hints->asked))
		return text_copy(hints->asked);
	if (hints->uid == 0 || text_is_empty(hints->runtime))
		return text_copy(hints->system);
	/* A directory that may not be entered is there as well. */
	if (access(hints->system, F_OK) == 0 || errno != ENOENT)
		return text_copy(hints->system);
	own = text_format("%s/pyenvd/pyenvd.sock", hints->runtime);
	if (access(own, F_OK))
		return text_copy(hints->system);
	return STEAL(own);
}

/* Why connect() was refused is often not what errno says. */
static int explain(const char *path, int r, struct error *err)
{
	struct group group, *found = NULL;
	char buffer[1024];
	struct stat st;
	bool is_there = stat(path, &st) == 0;

	if (r == -EAGAIN || r == -EINPROGRESS)
		return fail(err, -ETIMEDOUT, NULL,
			"cannot connect to '%s': the daemon there takes no connections", path);
	if (r == -EACCES && is_there)
		getgrgid_r(st.st_gid, &group, buffer, sizeof(buffer), &found);
	if (r == -EACCES)
		return fail(err, r, NULL,
			"cannot connect to '%s': Permission denied; only members of group '%s' may",
			path, found ? found->gr_name : "pyenvd");
	if (is_there && !S_ISSOCK(st.st_mode))
		return fail(err, r, NULL, "cannot connect to '%s': it is not a socket", path);
	if (r == -ECONNREFUSED)
		return fail(err, r, NULL,
			"no daemon at '%s': nobody listens there; is pyenvd running?", path);
	if (r == -ENOENT || r == -ENOTDIR)
		return fail(err, r, NULL, "no daemon at '%s': %s; is pyenvd running?", path,
			strerror(-r));
	return fail_errno(err, r, NULL, "cannot connect to '%s'", path);
}

int address_connect(const char *path, uint64_t timeout_ms, struct error *err)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct timeval timeout = {
		.tv_sec = (time_t)(timeout_ms / 1000),
		.tv_usec = (suseconds_t)(timeout_ms % 1000 * 1000),
	};
	_cleanup_close_ int fd = -1;
	int flags;

	if (strlen(path) >= sizeof(address.sun_path))
		return fail(err, -ENAMETOOLONG, NULL,
			"cannot connect to '%s': a socket's path has at most %zu bytes", path,
			sizeof(address.sun_path) - 1);
	memcpy(address.sun_path, path, strlen(path));
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return fail_errno(err, -errno, NULL, "cannot make a socket");
	/* A connect() that waits for a place in the listener's queue heeds the
	 * time limit for sending; a non-blocking one could not be waited for. */
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout));
	while (connect(fd, (const struct sockaddr *)&address, sizeof(address)))
		if (errno != EINTR)
			return explain(path, -errno, err);
	flags = fcntl(fd, F_GETFL);
	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK))
		return fail_errno(err, -errno, NULL, "cannot set up the socket");
	return steal_fd(&fd);
}
