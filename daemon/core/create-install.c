/*
 *	read -> what the requirements say, as a digest; side by side with the inputs
 *	     -> for a container: all that was read is kept (create-keep.c)
 *	     -> with the interpreter, which may be in one of them: the layer's key
 *	     -> the layer is READY, and what an index says now is not asked for: found
 *	     -> it is being made: join
 *	     -> make
 */
#include <errno.h>
#include <stdio.h>
#include "daemon/core/create-work.h"

static struct readings_subject subject_of(const struct create_work *work)
{
	return readings_subject_of(work->create->spec, work->install.uploaded, work->create->peer);
}

/* ---- reading */

int create_install_begin(struct create_work *work, struct error *err)
{
	const struct spec_requirements *requirements = &work->create->spec->requirements;
	int r;

	if (!requirements->file_count)
		return 0;
	r = uploaded_new(work->creates->artifacts, work->create->peer->identity.uid, requirements,
		&work->install.uploaded, err);
	if (r)
		work->create->blamed = requirements->path;
	return r;
}

void create_install_look(struct create_work *work)
{
	struct readings_subject subject = subject_of(work);

	if (subject.path)
		work->install.is_read = readings_look(
			work->creates->readings, &subject, &work->install.reading);
	if (work->install.is_read)
		create_keep_take(work, work->install.reading.files);
}

static void on_read(struct creation_waiter *waiter, const struct error *err)
{
	struct create_install *install = container_of(waiter, struct create_install, waiter);
	struct create_work *work = container_of(install, struct create_work, install);
	struct reading_work *reading = STEAL(install->work);
	struct error failed = { 0 };

	if (err) {
		work->create->blamed = work->create->spec->requirements.path;
		create_work_resolved(work, err);
		return;
	}
	reading_copy(&install->reading, reading_work_result(reading));
	install->is_read = true;
	create_keep_take(work, install->reading.files);
	if (create_keep_begin(work, &failed) != CREATE_E_LATER)
		create_work_resolved(work, failed.r ? &failed : NULL);
}

int create_install_read(struct create_work *work, struct error *err)
{
	struct readings_subject subject = subject_of(work);
	struct create_install *install = &work->install;

	if (!subject.path)
		return 0;
	if (install->is_read)
		return create_keep_begin(work, err);
	install->has_waited = true;
	install->waiter.done = on_read;
	install->work = readings_begin(work->creates->readings, &subject);
	creation_join(reading_work_creation(install->work), &install->waiter);
	return CREATE_E_LATER;
}

/* ---- the key */

static int check_installer(const struct create_work *work, struct error *err)
{
	if (work->install.use_uv || *work->interpreter.python.pip)
		return 0;
	return fail(err, -EBUSY, "INSTALL_UNAVAILABLE",
		"'%s' cannot be installed: '%s' has no pip, and %s",
		work->create->spec->requirements.path, work->interpreter.path,
		work->creates->core->config.install.uv
			? "uv is not used for it (installer, or an option in the file)"
			: "there is no uv");
}

static const struct input *interpreter_input(const struct create_work *work)
{
	const struct spec *spec = work->create->spec;

	return work->interpreter.archive ? &work->inputs[work->interpreter.archive - spec->archives]
					 : NULL;
}

static void compute_keys(struct create_work *work, char layer_key[SHA256_HEX_SIZE])
{
	const struct input *input = interpreter_input(work);
	const struct hash_install what = {
		.spec = work->create->spec,
		.digest = work->install.reading.sha256,
		.use_uv = work->install.use_uv,
		.archive_key = input ? input->layer.key : NULL,
		.interpreter = work->interpreter.path,
		.python = &work->interpreter.python,
	};

	hash_requirements(&what, work->install.hash);
	hash_requirements_layer(work->install.hash, work->interpreter.path, layer_key);
}

/* ---- the layer */

static size_t count_lines(const char *text)
{
	size_t count = 0;

	for (; *text; text++)
		count += *text == '\n';
	return count;
}

/* Whether asking an index again could give anything else: no, if each package that was
 * installed is one of the requirements, and these name one content each. */
static int wants_refresh(struct create_work *work, bool *ret, struct error *err)
{
	const struct spec_requirements *wanted = &work->create->spec->requirements;
	_cleanup_(db_install_deinit) struct db_install install = { 0 };
	const struct reading *reading = &work->install.reading;
	int r;

	*ret = wanted->refresh && !wanted->packages;
	if (!*ret || !reading->is_pinned)
		return 0;
	r = fold(db_find_install(work->creates->core->db, work->install.layer.id, &install, err));
	*ret = r == 0 && count_lines(install.resolved) > reading->count;
	return r;
}

static int take(struct create_work *work, enum input_origin origin, struct error *err)
{
	struct create_install *install = &work->install;

	install->origin = origin;
	install->is_ready = true;
	pins_add(layers_pins(work->creates->layers), install->layer.id);
	return fold(
		db_find_install(work->creates->core->db, install->layer.id, &install->result, err));
}

static void on_made(struct creation_waiter *waiter, const struct error *err)
{
	struct create_install *install = container_of(waiter, struct create_install, waiter);
	struct create_work *work = container_of(install, struct create_work, install);
	struct making *making = STEAL(install->making);
	struct error failed = err ? *err : (struct error){ 0 };

	if (!err) {
		install->layer = *making_layer(making);
		if (making_confirmed(making))
			install->origin = INPUT_FOUND;
		take(work, install->origin, &failed);
	}
	create_work_go_on(work, failed.r ? &failed : NULL);
}

static int join(struct create_work *work, struct making *making, enum input_origin origin)
{
	struct create_install *install = &work->install;

	install->has_waited = true;
	install->origin = origin;
	install->making = making;
	install->waiter.done = on_made;
	creation_join(making_creation(making), &install->waiter);
	return CREATE_E_LATER;
}

static int make(struct create_work *work, const char *key, int64_t owner, bool refresh)
{
	const struct spec *spec = work->create->spec;
	const struct input *input = interpreter_input(work);
	const struct layers_install install = {
		.packages = spec->requirements.packages,
		.uploaded = work->install.uploaded,
		.python = work->interpreter.path,
		.home = work->interpreter.home,
		.version = work->interpreter.python.version,
		.interpreter_layer = input ? input->layer.id : NULL,
		.use_uv = work->install.use_uv,
	};
	const struct layers_want want = {
		.layer = JOB_LAYER_REQUIREMENTS,
		.path = spec->requirements.path,
		.peer = work->create->peer,
		.compile = spec->compile,
		.digest = work->install.reading.sha256,
		.key = key,
		.owner = owner,
		.install = &install,
		.refresh = refresh,
	};

	return join(work, layers_make(work->creates->layers, &want), INPUT_MADE);
}

int create_install_prepare(struct create_work *work, struct error *err)
{
	struct core *core = work->creates->core;
	int64_t owner = core_owner(core, work->create->peer->identity.uid);
	char key[SHA256_HEX_SIZE];
	bool refresh = false;
	struct making *making;
	int r;

	if (!work->create->spec->requirements.path || work->install.is_ready)
		return 0;
	work->install.use_uv = hash_uses_uv(
		core_may_use_uv(core), work->install.reading.needs_pip, work->interpreter.home);
	r = check_installer(work, err);
	if (r)
		return r;
	compute_keys(work, key);
	r = db_find_layer_by_key(core->db, key, owner, &work->install.layer, err);
	if (r == 0)
		r = wants_refresh(work, &refresh, err);
	if (r < 0)
		return r;
	if (r == 0 && !refresh)
		return take(work, INPUT_FOUND, err);
	making = layers_find_making(work->creates->layers, key, owner);
	return making ? join(work, making, INPUT_JOINED) : make(work, key, owner, refresh);
}

int create_install_take(struct create_work *work, const char *layer, struct error *err)
{
	int r = fold(db_find_layer(work->creates->core->db, layer, &work->install.layer, err));

	return r ? r : take(work, INPUT_FOUND, err);
}

void create_install_leave(struct create_work *work)
{
	struct create_install *install = &work->install;

	creation_leave(&install->waiter);
	create_keep_leave(work);
	install->uploaded = uploaded_unref(install->uploaded);
	install->making = NULL;
	install->work = NULL;
	if (install->is_ready)
		pins_remove(layers_pins(work->creates->layers), install->layer.id);
	install->is_ready = false;
	db_install_deinit(&install->result);
	reading_deinit(&install->reading);
}

struct job_progress create_install_progress(const struct create_work *work)
{
	if (work->install.making)
		return making_progress(work->install.making);
	return (struct job_progress){
		.phase = work->install.work || work->install.keep.is_waiting ? JOB_PHASE_DIGEST
									     : JOB_PHASE_WAITING,
	};
}
