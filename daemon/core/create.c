/*
 *	begin -> RESOLVE     each input becomes a layer (input.c), side by side; meanwhile
 *	                     an interpreter of the host is looked up and asked who it
 *	                     is, and requirements are read
 *	      -> INTERPRETER one in a layer can only be looked up once that is ready
 *	      -> INSTALL     requirements become a layer, for that interpreter
 *	      -> GRANT       the lease
 *	      -> COPY        private copies, one after the other
 *	      -> RECORD      the lease's row, together with those of others
 *	      -> done
 *
 * A request whose id has a lease already goes from the layers of that lease straight
 * to INTERPRETER. One whose id another request in flight has (a client that repeats
 * itself) waits until that one has ended, in whatever way, and begins then: so it
 * finds the lease, or makes it.
 *
 * As everywhere in core, what can be answered at once is returned, and only what
 * could not is told through a callback: step() runs until it has to wait.
 */
#include "daemon/core/create.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/log.h"
#include "daemon/core/create-work.h"

#define PROGRESS_MS 200

static int step(struct create_work *work, struct error *err);

/* ---- the end */

static void restart_twins(struct create_work *work)
{
	struct list *link;

	/* The first becomes the leader, and gathers the others again. */
	while ((link = list_pop(&work->twins))) {
		struct create_work *twin = container_of(link, struct create_work, twin_link);

		timer_set(work->creates->core->watch, &twin->ticker, 0);
	}
}

void create_work_free(struct create_work *work)
{
	size_t i;

	list_remove(&work->link);
	list_remove(&work->twin_link);
	map_remove(&work->creates->by_request, &work->request_node);
	timer_clear(&work->ticker);
	interpreter_deinit(&work->interpreter);
	create_install_leave(work);
	for (i = 0; i < work->input_count; i++)
		input_leave(&work->inputs[i]);
	hash_components_deinit(&work->components);
	leases_unrecord(&work->grant);
	restart_twins(work);
	free(work->rows);
	free(work->layer_ids);
	db_lease_artifacts_deinit(&work->artifacts);
	free(work->inputs);
	free(work->request);
	free(work->known);
	free(work);
}

/* Ends the work; a copy under way keeps its job alive until the pool is done. */
static void give_up(struct create_work *work)
{
	struct create *create = work->create;

	create->work = NULL;
	if (work->lease)
		leases_end_delivery(work->creates->leases, create->result.lease_id, false);
	work->lease = NULL;
	if (job_is_in_flight(&work->copy)) {
		work->create = NULL;
		pool_cancel(work->creates->core->pool, &work->copy);
		return;
	}
	create_work_free(work);
}

static int finish(struct create_work *work, int r, struct error *err)
{
	struct create *create = work->create;
	struct core *core = work->creates->core;

	if (r) {
		core->counters.create_failures++;
		log_info("create-failed", "uid=%d label='%s' reason=%s text='%s'",
			(int)create->peer->identity.uid, LOG_TEXT(create->spec->label), err->reason,
			LOG_TEXT(err->text));
		give_up(work);
		create_work_clear_result(&create->result);
		return r;
	}
	create->result.total_us = clock_now_us() - work->began_us;
	core->counters.create_hits += create->result.hit;
	/* The lease's delivery goes on; its end is the caller's. */
	work->lease = NULL;
	create->work = NULL;
	create_work_free(work);
	return 0;
}

/* After a wait: @r is what step() or a failure gave. */
static void resume(struct create_work *work, int r, struct error *err)
{
	struct create *create = work->create;

	if (r == CREATE_E_LATER)
		return;
	r = finish(work, r, err);
	create->done(create, r ? err : NULL);
}

void create_work_go_on(struct create_work *work, const struct error *err)
{
	struct error failed = err ? *err : (struct error){ 0 };
	int r = err ? err->r : step(work, &failed);

	resume(work, r, &failed);
}

/* ---- the row */

static int recorded(struct create_work *work)
{
	work->create->result.lease_us = clock_now_us() - work->prepared_us;
	return 0;
}

static void on_recorded(struct lease_grant *grant, const struct error *err)
{
	create_work_go_on(container_of(grant, struct create_work, grant), err);
}

static int record(struct create_work *work)
{
	work->state = CREATE_RECORD;
	if (work->known)
		return recorded(work);
	work->grant.done = on_recorded;
	leases_record(work->creates->leases, &work->grant);
	return CREATE_E_LATER;
}

static int copy(struct create_work *work, struct error *err)
{
	int r = create_copy(work, err);

	return r ? r : record(work);
}

static int grant(struct create_work *work, struct error *err)
{
	int r;

	work->prepared_us = clock_now_us();
	work->create->result.prepare_us = work->prepared_us - work->resolved_us;
	create_work_fill_layers(work);
	r = create_work_grant(work, err);
	if (r)
		return r;
	lease_begin_delivery(work->lease);
	create_work_fill_lease(work);
	work->state = CREATE_COPY;
	return copy(work, err);
}

/* ---- the requirements */

static int install(struct create_work *work, struct error *err)
{
	int r;

	work->state = CREATE_GRANT;
	r = create_install_prepare(work, err);
	return r ? r : grant(work, err);
}

/* ---- the interpreter */

static void on_interpreter(struct interpreter *interpreter, const struct error *err)
{
	struct create_work *work = container_of(interpreter, struct create_work, interpreter);

	if (work->waiting)
		create_work_resolved(work, err);
	else
		create_work_go_on(work, err);
}

static int find_interpreter(struct create_work *work, struct error *err)
{
	const struct spec *spec = work->create->spec;
	_cleanup_free_ char *directory = NULL;
	int r;

	work->resolved_us = create_work_resolved_us(work);
	work->create->result.resolve_us = work->resolved_us - work->began_us;
	work->state = CREATE_INSTALL;
	if (work->interpreter.archive) {
		directory = tree_layer_path(work->creates->core->tree,
			create_work_layer_id(
				work, (size_t)(work->interpreter.archive - spec->archives)));
	}
	r = interpreter_find(
		&work->interpreter, work->creates->core, work->creates->probes, directory, err);
	if (r)
		return r == INTERPRETER_E_LATER ? CREATE_E_LATER : r;
	return install(work, err);
}

/* ---- the inputs */

void create_work_resolved(struct create_work *work, const struct error *err)
{
	work->waiting--;
	if (err || !work->waiting)
		create_work_go_on(work, err);
}

static void on_input(struct input *input, const struct error *err)
{
	struct create_work *work = input->owner;

	if (err)
		work->create->blamed = input->path;
	create_work_resolved(work, err);
}

static void init_inputs(struct create_work *work)
{
	const struct creates *creates = work->creates;
	const struct input common = {
		.core = creates->core,
		.digests = creates->digests,
		.artifacts = creates->artifacts,
		.layers = creates->layers,
		.peer = work->create->peer,
		.done = on_input,
		.owner = work,
	};

	work->inputs = inputs_new(&common, work->create->spec, &work->input_count);
}

/* All that can be seen at once is looked at with one change of identity. */
static int look_at_all(struct create_work *work, struct error *err)
{
	size_t i;
	int r;

	work->interpreter.done = on_interpreter;
	r = interpreter_prepare(&work->interpreter, work->create->spec, work->create->peer, err);
	if (r == 0 && !work->known)
		r = create_install_begin(work, err);
	if (r == 0)
		r = identity_assume(&work->create->peer->identity, err);
	if (r)
		return r;
	for (i = 0; i < work->input_count && !work->known; i++) {
		input_prepare(&work->inputs[i]);
		locate_look(&work->inputs[i].locate);
	}
	if (!work->known)
		create_install_look(work);
	if (work->interpreter.locate.path_count)
		locate_look(&work->interpreter.locate);
	identity_resume();
	return 0;
}

static int resolve(struct create_work *work, struct error *err)
{
	size_t i;
	int r;

	for (i = 0; i < work->input_count; i++) {
		r = input_begin(&work->inputs[i], err);
		if (r == INPUT_E_LATER)
			work->waiting++;
		else if (r) {
			work->create->blamed = work->inputs[i].path;
			return r;
		}
	}
	r = create_install_read(work, err);
	if (r == CREATE_E_LATER)
		work->waiting++;
	else if (r)
		return r;
	r = work->interpreter.archive ? 0
				      : interpreter_find(&work->interpreter, work->creates->core,
						work->creates->probes, NULL, err);
	if (r == INTERPRETER_E_LATER)
		work->waiting++;
	else if (r)
		return r;
	work->state = CREATE_INTERPRETER;
	return work->waiting ? CREATE_E_LATER : find_interpreter(work, err);
}

/* ---- the beginning */

static int step(struct create_work *work, struct error *err)
{
	switch (work->state) {
	case CREATE_TWIN:
	case CREATE_RESOLVE:
		return resolve(work, err);
	case CREATE_INTERPRETER:
		return find_interpreter(work, err);
	case CREATE_INSTALL:
		return install(work, err);
	case CREATE_GRANT:
		return grant(work, err);
	case CREATE_COPY:
		return copy(work, err);
	case CREATE_RECORD:
		return recorded(work);
	}
	abort();
}

/* True: somebody with the same request id is before us. */
static bool follow_leader(struct create_work *work)
{
	const struct create *create = work->create;
	struct map_node *node;

	if (!*create->spec->request_id)
		return false;
	if (!work->request)
		work->request = text_format(
			"%u/%s", (unsigned)create->peer->identity.uid, create->spec->request_id);
	node = map_find(&work->creates->by_request, work->request);
	if (!node) {
		map_add(&work->creates->by_request, &work->request_node, work->request);
		return false;
	}
	list_add(&container_of(node, struct create_work, request_node)->twins, &work->twin_link);
	return true;
}

static int start(struct create_work *work, struct error *err)
{
	const struct create *create = work->create;
	int r;

	work->state = CREATE_TWIN;
	if (follow_leader(work))
		return CREATE_E_LATER;
	r = create_work_look_for_known(work, err);
	if (r)
		return r;
	work->state = work->known ? CREATE_INTERPRETER : CREATE_RESOLVE;
	if (!work->known)
		r = leases_find_guardian(create->spec, create->peer, &work->grant.guardian, err);
	if (r == 0)
		r = look_at_all(work, err);
	return r ? r : step(work, err);
}

static void on_tick(struct timer *timer)
{
	struct create_work *work = container_of(timer, struct create_work, ticker);
	struct error err = { 0 };
	int r;

	if (work->create->progress)
		timer_set(work->creates->core->watch, &work->ticker, PROGRESS_MS);
	if (work->state == CREATE_TWIN && !list_is_linked(&work->twin_link)) {
		r = start(work, &err);
		resume(work, r, &err);
	} else if (work->create->progress) {
		create_work_tell_progress(work);
	}
}

static struct create_work *work_new(struct creates *creates, struct create *create)
{
	struct create_work *work = new0(struct create_work);

	work->creates = creates;
	work->create = create;
	work->began_us = clock_now_us();
	work->started = clock_unix_ms();
	work->copy_from = work->copy_to = -1;
	work->ticker.fired = on_tick;
	random_id(work->id, sizeof(work->id) - 1);
	hash_request(create->spec, creates->core->salt, work->request_digest);
	list_init(&work->twins);
	list_add(&creates->list, &work->link);
	init_inputs(work);
	return work;
}

int create_begin(struct creates *creates, struct create *create, struct error *err)
{
	struct create_work *work;
	int r;

	creates->core->counters.creates++;
	create->creates = creates;
	create->work = NULL;
	create->result = (struct create_result){ 0 };
	create->blamed = NULL;
	r = creates_check_count(creates, create->peer, err);
	if (r) {
		creates->core->counters.create_failures++;
		return r;
	}
	work = create->work = work_new(creates, create);
	r = start(work, err);
	if (r != CREATE_E_LATER)
		return finish(work, r, err);
	if (create->progress)
		timer_set(creates->core->watch, &work->ticker, PROGRESS_MS);
	return r;
}

void create_abandon(struct create *create)
{
	if (create->work)
		give_up(create->work);
	create_work_clear_result(&create->result);
}
