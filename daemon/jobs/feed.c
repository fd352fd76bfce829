/*
 * A worker that is gone is not noticed here (the owner has the other end as well until the
 * job is done), but by the job's end.
 */
#include "daemon/jobs/feed.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

/* What an ordinary user may have. */
#define PIPE_SIZE (1 << 20)

/* How much the pipe took. */
static size_t write_some(struct feed *feed, const uint8_t *data, size_t size)
{
	size_t done = 0;
	ssize_t n;

	while (done < size) {
		n = write(feed->fd, data + done, size - done);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			break;
		done += (size_t)n;
	}
	return done;
}

static void on_writable(struct watch_writable *watched)
{
	struct feed *feed = container_of(watched, struct feed, writable);

	feed->taken += write_some(
		feed, feed->kept.data + feed->taken, feed->kept.size - feed->taken);
	if (feed->taken < feed->kept.size) {
		watch_writable_start(feed->watch, &feed->writable, feed->fd);
		return;
	}
	buffer_deinit(&feed->kept);
	feed->taken = 0;
	feed->drained(feed);
}

int feed_open(struct feed *feed, struct watch *watch, int *ret_fd, struct error *err)
{
	int fds[2];

	if (pipe2(fds, O_CLOEXEC))
		return fail_errno(err, -errno, "INTERNAL_ERROR", "cannot make a pipe for a worker");
	/* Our end alone: each has flags of its own. Smaller is slower, and no more. */
	fcntl(fds[1], F_SETFL, O_NONBLOCK);
	fcntl(fds[1], F_SETPIPE_SZ, PIPE_SIZE);
	feed->watch = watch;
	feed->writable.ready = on_writable;
	feed->fd = fds[1];
	*ret_fd = fds[0];
	return 0;
}

void feed_add(struct feed *feed, const void *data, size_t size)
{
	size_t done = 0;

	if (!feed->kept.size)
		done = write_some(feed, data, size);
	if (done == size)
		return;
	buffer_append(&feed->kept, (const uint8_t *)data + done, size - done);
	if (!feed->writable.event)
		watch_writable_start(feed->watch, &feed->writable, feed->fd);
}

bool feed_is_full(const struct feed *feed)
{
	return feed->kept.size > 0;
}

void feed_close(struct feed *feed)
{
	if (!feed->watch)
		return;
	watch_writable_stop(&feed->writable);
	buffer_deinit(&feed->kept);
	feed->taken = 0;
	cleanup_close(&feed->fd);
	feed->fd = -1;
	feed->watch = NULL;
}
