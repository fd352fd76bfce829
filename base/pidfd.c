#include "base/pidfd.h"

#include <errno.h>
#include <poll.h>
#include <sys/syscall.h>
#include <unistd.h>

int pidfd_of(pid_t pid)
{
	int fd = (int)syscall(SYS_pidfd_open, pid, 0);

	if (fd >= 0)
		return fd;
	/* Of a thread that is no process: EINVAL, and from Linux 6.9 on ENOENT. */
	return errno == EINVAL || errno == ENOENT ? -ESRCH : -errno;
}

bool pidfd_has_ended(int pidfd)
{
	struct pollfd p = { .fd = pidfd, .events = POLLIN };

	return pidfd < 0 || poll(&p, 1, 0) == 1;
}
