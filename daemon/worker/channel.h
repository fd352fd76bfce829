#pragma once
/*
 * The socket to the daemon: one job in, events out. Events may come from any thread.
 * When the daemon's end is closed, the process ends, at once and wherever it is.
 */
#include "base/error.h"
#include "daemon/worker/report.h"
#include "worker.pb-c.h"

#define CHANNEL_MAX_FDS 12

struct channel;

struct channel *channel_new(int fd);
struct channel *channel_free(struct channel *channel);
DEFINE_CLEANUP(struct channel *, channel_free);

/* The job, owned by the caller, and its descriptors (-1 where there is none). */
int channel_receive(struct channel *channel, Pyenvd__Worker__Job **ret, int fds[CHANNEL_MAX_FDS],
	struct error *err);
/* From now on the daemon's going ends this process, even while it waits for a source. */
int channel_watch(struct channel *channel, struct error *err);
/* Before programs are started, which must not outlive this process: from now on its going
 * is only told, by this descriptor (borrowed) becoming readable. */
int channel_keep_running(struct channel *channel, int *ret, struct error *err);
/* A file that shrinks while it is mapped: the process then says so and ends. */
void channel_prepare_shrunk(struct channel *channel, const char *path);

void channel_send(struct channel *channel, const Pyenvd__Worker__Event *event);
void channel_send_failure(struct channel *channel, const struct error *err);
void channel_send_done(struct channel *channel);
/* A report that sends events. */
struct report *channel_report(struct channel *channel);
