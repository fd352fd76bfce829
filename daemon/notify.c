#include "daemon/notify.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>

#if HAVE_SYSTEMD
#include <systemd/sd-daemon.h>

int notify_take_socket(struct error *err)
{
	int n = sd_listen_fds(1);

	if (n < 0)
		return fail_errno(err, n, NULL, "cannot take the sockets of systemd");
	if (n == 0)
		return -1;
	if (n > 1 || sd_is_socket_unix(SD_LISTEN_FDS_START, SOCK_STREAM, 1, NULL, 0) <= 0)
		return fail(err, -EINVAL, NULL,
			"systemd handed over something else than one listening Unix socket");
	fcntl(SD_LISTEN_FDS_START, F_SETFL, O_NONBLOCK);
	return SD_LISTEN_FDS_START;
}

void notify_ready(void)
{
	sd_notify(0, "READY=1\nSTATUS=Serving.");
}

void notify_stopping(void)
{
	sd_notify(0, "STOPPING=1\nSTATUS=Finishing what is in flight.");
}
#else
int notify_take_socket(struct error *err)
{
	return -1;
}

void notify_ready(void)
{
}

void notify_stopping(void)
{
}
#endif
