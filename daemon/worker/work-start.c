/* The job that starts a program which outlives us, from its message. It is not confined: the
 * program is the peer's own, and what confines us would confine it, too. */
#include "daemon/worker/start.h"
#include "daemon/worker/work.h"

static void on_started(void *data, pid_t pid, uint64_t start)
{
	Pyenvd__Worker__Started started = PYENVD__WORKER__STARTED__INIT;
	Pyenvd__Worker__Event event = PYENVD__WORKER__EVENT__INIT;

	started.pid = pid;
	started.start = start;
	event.event_case = PYENVD__WORKER__EVENT__EVENT_STARTED;
	event.started = &started;
	channel_send(data, &event);
}

int work_start(struct work *work, struct error *err)
{
	const struct start start = {
		.as = &work->peer,
		.gate_fd = work->fds[0],
		.started = on_started,
		.data = work->channel,
	};
	int r = start_run(&start, err);

	if (r == 0)
		channel_send_done(work->channel);
	return r;
}
