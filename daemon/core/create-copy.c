/* Private copies of archives: one after the other, each by a job, as the peer. */
#include <unistd.h>
#include "daemon/core/create-work.h"

static void close_copy(struct create_work *work)
{
	cleanup_close(&work->copy_from);
	cleanup_close(&work->copy_to);
	work->copy_from = work->copy_to = -1;
}

static void on_copied(
	struct job *job, int r, const struct job_result *result, const struct error *err)
{
	struct create_work *work = container_of(job, struct create_work, copy);
	struct error copy = r ? *err : (struct error){ 0 };

	close_copy(work);
	if (!work->create) {
		create_work_free(work);
		return;
	}
	create_work_go_on(work, r ? &copy : NULL);
}

static int begin_copy(struct create_work *work, size_t i, struct error *err)
{
	struct core *core = work->creates->core;
	int r;

	r = tree_open_layer_tree(core->tree, create_work_layer_id(work, i), &work->copy_from, err);
	if (r == 0)
		r = tree_open_lease_directory(core->tree, work->create->result.lease_id,
			work->create->spec->archives[i].target, &work->copy_to, err);
	if (r == 0) {
		work->copy = (struct job){
			.kind = JOB_COPY,
			.peer = &work->create->peer->identity,
			.copy = { work->copy_from, work->copy_to },
			.done = on_copied,
		};
		r = pool_submit(core->pool, &work->copy, err);
	}
	if (r) {
		close_copy(work);
		return r;
	}
	work->create->result.hit = false;
	return CREATE_E_LATER;
}

int create_copy(struct create_work *work, struct error *err)
{
	const struct spec *spec = work->create->spec;

	/* A lease that was there before has its copies. */
	while (!work->known && work->copied < spec->archive_count) {
		size_t i = work->copied++;

		if (spec->archives[i].private_copy)
			return begin_copy(work, i, err);
	}
	return 0;
}
