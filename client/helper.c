#include "client/helper.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include "proto/worker.h"

int helper_init(struct helper *helper, const char *program, struct error *err)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	int count = getgroups(0, NULL);

	*helper = (struct helper){
		.program = program,
		.threads = cpus > 1 ? (uint32_t)cpus : 1,
		.identity = { .uid = geteuid(), .gid = getegid() },
	};
	helper->identity.groups = new0_array(gid_t, count > 0 ? (size_t)count : 0);
	count = getgroups(count, helper->identity.groups);
	if (count < 0)
		return fail_errno(err, -errno, NULL, "cannot tell what groups you are in");
	helper->identity.group_count = (size_t)count;
	return 0;
}

void helper_deinit(struct helper *helper)
{
	identity_deinit(&helper->identity);
}

void helper_answer_deinit(struct helper_answer *answer)
{
	wire_kept_deinit(&answer->kept);
}

static int fail_dead(struct error *err)
{
	return fail(err, -EIO, "WORKER_DIED", "a worker process ended without an answer");
}

/* Its events, until the last one. */
static int listen_to(
	int socket, const struct job *job, struct helper_answer *ret, struct error *err)
{
	_cleanup_free_ uint8_t *packet = alloc0(1, WORKER_MAX_PACKET);
	struct job_progress progress;
	enum wire_event event = WIRE_OPENED;
	ssize_t n;

	while (event != WIRE_RESULT && event != WIRE_FAILURE) {
		n = recv(socket, packet, WORKER_MAX_PACKET, 0);
		if (n < 0 && errno == EINTR)
			return fail(err, -ECANCELED, "CANCELLED", "interrupted");
		if (n <= 0 ||
			wire_decode_event(job, packet, (size_t)n, &event, &ret->result, &ret->kept,
				&progress, err))
			return fail_dead(err);
	}
	return event == WIRE_FAILURE ? err->r : 0;
}

int helper_run(struct helper *helper, struct job *job, struct helper_answer *ret, struct error *err)
{
	_cleanup_close_ int socket = -1;
	pid_t pid;
	int r;

	*ret = (struct helper_answer){ 0 };
	job->peer = &helper->identity;
	r = worker_spawn(helper->program, &pid, &socket, err);
	if (r)
		return r;
	r = worker_send(socket, job, err);
	if (r == 0)
		r = listen_to(socket, job, ret, err);
	/* Whatever it is still at, it ends with this. */
	cleanup_close(&socket);
	socket = -1;
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	return r;
}
