/* The job that ends processes, from its message. */
#include "daemon/worker/confine.h"
#include "daemon/worker/end.h"
#include "daemon/worker/work.h"

int work_end_processes(struct work *work, struct error *err)
{
	const Pyenvd__Worker__EndProcesses *job = work->job->end_processes;
	const struct confinement confinement = { .acts_as = &work->peer, .writes_fd = -1 };
	_cleanup_free_ struct end_process *processes = new0_array(
		struct end_process, job->n_processes);
	const struct end end = { &work->peer, processes, job->n_processes, job->grace_ms };
	size_t i;
	int r;

	for (i = 0; i < job->n_processes; i++)
		processes[i] = (struct end_process){
			job->processes[i]->pid,
			job->processes[i]->start,
		};
	r = confine(&confinement, err);
	if (r == 0)
		r = end_run(&end, err);
	if (r == 0)
		channel_send_done(work->channel);
	return r;
}
