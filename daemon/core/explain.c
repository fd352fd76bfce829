/*
 *	begin -> RESOLVE     each input is digested, and its layer looked for (input.c), side
 *	                     by side; meanwhile requirements are read
 *	      -> INTERPRETER as in a create; one in an archive only if its layer is there
 *	      -> compare (explain-compare.c) -> done
 *
 * A create's first half, with its parts, and by its rules: what would be found is found, what
 * would have to be made is missing.
 */
#include "daemon/core/explain-work.h"

#include <assert.h>
#include <errno.h>

/* ---- the end */

static void work_free(struct explain_work *work)
{
	size_t i;

	list_remove(&work->link);
	interpreter_deinit(&work->interpreter);
	creation_leave(&work->reading_waiter);
	reading_deinit(&work->reading);
	uploaded_unref(work->uploaded);
	for (i = 0; i < work->input_count; i++)
		input_leave(&work->inputs[i]);
	free(work->inputs);
	free(work);
}

static void clear_result(struct explain_result *result)
{
	free(result->missing);
	db_components_deinit(&result->components);
	differences_deinit(&result->differences);
	*result = (struct explain_result){ 0 };
}

static int finish(struct explain_work *work, int r)
{
	struct explain *explain = STEAL(work->explain);

	explain->work = NULL;
	work_free(work);
	if (r)
		clear_result(&explain->result);
	return r;
}

/* After a wait: @r is what a step or a failure gave. */
static void resume(struct explain_work *work, int r, const struct error *err)
{
	struct explain *explain = work->explain;

	if (r == EXPLAIN_E_LATER)
		return;
	r = finish(work, r);
	explain->done(explain, r ? err : NULL);
}

/* ---- the interpreter */

static void on_interpreter(struct interpreter *interpreter, const struct error *err)
{
	struct explain_work *work = container_of(interpreter, struct explain_work, interpreter);
	struct error failed = err ? *err : (struct error){ 0 };
	int r = err ? err->r : explain_work_compare(work, &failed);

	resume(work, r, &failed);
}

static int find_interpreter(struct explain_work *work, struct error *err)
{
	const struct input *input = explain_work_interpreter_input(work);
	struct core *core = work->explains->core;
	_cleanup_free_ char *directory = NULL;
	int r;

	if (input && !input->is_ready)
		return explain_work_compare(work, err);
	if (input)
		directory = tree_layer_path(core->tree, input->layer.id);
	r = interpreter_find(&work->interpreter, core, work->explains->probes, directory, err);
	if (r)
		return r == INTERPRETER_E_LATER ? EXPLAIN_E_LATER : r;
	return explain_work_compare(work, err);
}

/* ---- inputs and requirements */

static void resolved(struct explain_work *work, const struct error *err)
{
	struct error failed = err ? *err : (struct error){ 0 };
	int r = err ? err->r : 0;

	work->waiting--;
	if (r == 0 && work->waiting)
		return;
	if (r == 0)
		r = find_interpreter(work, &failed);
	resume(work, r, &failed);
}

static void on_input(struct input *input, const struct error *err)
{
	struct explain_work *work = input->owner;

	if (err)
		work->explain->blamed = input->path;
	resolved(work, err);
}

static void on_read(struct creation_waiter *waiter, const struct error *err)
{
	struct explain_work *work = container_of(waiter, struct explain_work, reading_waiter);
	struct reading_work *reading = STEAL(work->reading_work);

	if (!err)
		reading_copy(&work->reading, reading_work_result(reading));
	resolved(work, err);
}

static struct readings_subject subject_of(const struct explain_work *work)
{
	return readings_subject_of(work->explain->spec, work->uploaded, work->explain->peer);
}

/* Of requirements that were uploaded. */
static int find_uploaded(struct explain_work *work, struct error *err)
{
	const struct spec_requirements *requirements = &work->explain->spec->requirements;
	int r;

	if (!requirements->file_count)
		return 0;
	r = uploaded_new(work->explains->artifacts, work->explain->peer->identity.uid, requirements,
		&work->uploaded, err);
	if (r)
		work->explain->blamed = requirements->path;
	return r;
}

static void init_inputs(struct explain_work *work)
{
	const struct explains *explains = work->explains;
	const struct input common = {
		.core = explains->core,
		.digests = explains->digests,
		.artifacts = explains->artifacts,
		.layers = explains->layers,
		.peer = work->explain->peer,
		.only_look = true,
		.done = on_input,
		.owner = work,
	};
	size_t i;

	work->inputs = inputs_new(&common, work->explain->spec, &work->input_count);
	for (i = 0; i < work->input_count; i++)
		input_prepare(&work->inputs[i]);
}

/* All that can be seen at once is looked at with one change of identity. */
static int look_at_all(struct explain_work *work, bool *is_read, struct error *err)
{
	const struct explain *explain = work->explain;
	struct readings_subject subject = subject_of(work);
	size_t i;
	int r;

	work->interpreter.done = on_interpreter;
	r = interpreter_prepare(&work->interpreter, explain->spec, explain->peer, err);
	if (r == 0)
		r = identity_assume(&explain->peer->identity, err);
	if (r)
		return r;
	for (i = 0; i < work->input_count; i++)
		locate_look(&work->inputs[i].locate);
	*is_read = !subject.path ||
		readings_look(work->explains->readings, &subject, &work->reading);
	if (work->interpreter.locate.path_count)
		locate_look(&work->interpreter.locate);
	identity_resume();
	return 0;
}

static void read_requirements(struct explain_work *work)
{
	struct readings_subject subject = subject_of(work);

	work->waiting++;
	work->reading_waiter.done = on_read;
	work->reading_work = readings_begin(work->explains->readings, &subject);
	creation_join(reading_work_creation(work->reading_work), &work->reading_waiter);
}

static int start(struct explain_work *work, struct error *err)
{
	bool is_read;
	size_t i;
	int r;

	init_inputs(work);
	r = find_uploaded(work, err);
	if (r == 0)
		r = look_at_all(work, &is_read, err);
	if (r)
		return r;
	for (i = 0; i < work->input_count; i++) {
		r = input_begin(&work->inputs[i], err);
		if (r == INPUT_E_LATER)
			work->waiting++;
		else if (r) {
			work->explain->blamed = work->inputs[i].path;
			return r;
		}
	}
	if (!is_read)
		read_requirements(work);
	return work->waiting ? EXPLAIN_E_LATER : find_interpreter(work, err);
}

/* ---- the beginning */

/* Counted apart from creates, with the same limit: it may have much to read as well. */
static int check_count(const struct explains *explains, const struct peer *peer, struct error *err)
{
	uint32_t count = 0, limit = explains->core->config.max_creates;

	list_for_each (link, &explains->list)
		count += container_of(link, struct explain_work, link)
				 ->explain->peer->identity.uid == peer->identity.uid;
	if (limit && count >= limit)
		return fail(err, -ENOSPC, "TOO_MANY",
			"uid %d has %u environments being explained already",
			(int)peer->identity.uid, count);
	return 0;
}

int explain_begin(struct explains *explains, struct explain *explain, struct error *err)
{
	struct explain_work *work;
	int r;

	explain->work = NULL;
	explain->result = (struct explain_result){ 0 };
	explain->blamed = NULL;
	r = check_count(explains, explain->peer, err);
	if (r)
		return r;
	work = explain->work = new0(struct explain_work);
	work->explains = explains;
	work->explain = explain;
	list_add(&explains->list, &work->link);
	r = start(work, err);
	return r == EXPLAIN_E_LATER ? r : finish(work, r);
}

void explain_abandon(struct explain *explain)
{
	if (explain->work)
		finish(explain->work, -ECANCELED);
	clear_result(&explain->result);
}

struct explains *explains_new(struct core *core, struct digests *digests, struct probes *probes,
	struct readings *readings, struct layers *layers, struct artifacts *artifacts)
{
	struct explains *explains = new0(struct explains);

	*explains = (struct explains){
		.core = core,
		.digests = digests,
		.probes = probes,
		.readings = readings,
		.layers = layers,
		.artifacts = artifacts,
	};
	list_init(&explains->list);
	return explains;
}

struct explains *explains_free(struct explains *explains)
{
	if (!explains)
		return NULL;
	assert(list_is_empty(&explains->list));
	free(explains);
	return NULL;
}
