#include "daemon/core/interpreter.h"

#include <errno.h>

void interpreter_deinit(struct interpreter *interpreter)
{
	locate_cancel(&interpreter->locate);
	spec_python_deinit(&interpreter->where);
	free(interpreter->path);
	free(interpreter->home);
	creation_leave(&interpreter->waiter);
	*interpreter = (struct interpreter){ 0 };
}

/* ---- who it is */

/* One in an archive may need to be told where its library is. */
static char *find_home(const struct interpreter *interpreter)
{
	return interpreter->archive ? spec_python_home(interpreter->path) : NULL;
}

static void understood(struct interpreter *interpreter, const struct job_python *python)
{
	interpreter->python = *python;
	if (python->needs_home)
		interpreter->home = find_home(interpreter);
}

static void on_probed(struct creation_waiter *waiter, const struct error *err)
{
	struct interpreter *interpreter = container_of(waiter, struct interpreter, waiter);
	struct probing *probing = STEAL(interpreter->probing);
	struct error why = { 0 };

	if (err) {
		why = *err;
		error_prefix(&why, "python '%s'", interpreter->spec->python);
	} else {
		understood(interpreter, probing_python(probing));
	}
	interpreter->done(interpreter, err ? &why : NULL);
}

static int found(struct interpreter *interpreter, size_t index, const struct fs_identity *file)
{
	_cleanup_free_ char *home = NULL;
	struct probes_subject subject = { .file = file, .peer = interpreter->locate.peer };
	const struct job_python *python;

	interpreter->path = text_copy(interpreter->where.candidates[index]);
	home = find_home(interpreter);
	subject.path = interpreter->path;
	subject.home = home;
	python = probes_find(interpreter->probes, &subject);
	if (python) {
		understood(interpreter, python);
		return 0;
	}
	interpreter->has_waited = true;
	interpreter->probing = probes_ask(interpreter->probes, &subject);
	interpreter->waiter.done = on_probed;
	creation_join(probing_creation(interpreter->probing), &interpreter->waiter);
	return INTERPRETER_E_LATER;
}

static void on_located(struct locate *locate, size_t index, const struct fs_identity *file,
	enum fs_type type, const struct error *err)
{
	struct interpreter *interpreter = container_of(locate, struct interpreter, locate);
	struct error why = { 0 };

	if (err)
		spec_python_fail(interpreter->spec, &interpreter->where, err, &why);
	else if (found(interpreter, index, file) == INTERPRETER_E_LATER)
		return;
	interpreter->done(interpreter, err ? &why : NULL);
}

static void prepare_locate(struct interpreter *interpreter)
{
	interpreter->locate.paths = (const char *const *)interpreter->where.candidates;
	interpreter->locate.path_count = interpreter->where.candidate_count;
}

void interpreter_know(struct interpreter *interpreter, const char *path, const char *home)
{
	interpreter->path = text_copy(path);
	interpreter->home = text_copy(home);
}

int interpreter_prepare(struct interpreter *interpreter, const struct spec *spec,
	const struct peer *peer, struct error *err)
{
	int r;

	interpreter->spec = spec;
	interpreter->locate = (struct locate){
		.executable = true,
		.peer = peer,
		.done = on_located,
	};
	r = spec_python_find(spec, &interpreter->where, err);
	interpreter->archive = interpreter->where.archive;
	if (!interpreter->path)
		prepare_locate(interpreter);
	return r;
}

int interpreter_find(struct interpreter *interpreter, struct core *core, struct probes *probes,
	const char *layer, struct error *err)
{
	static const struct error none = { .r = -ENOENT };
	_cleanup_free_ char *tree = layer ? text_format("%s/tree", layer) : NULL;
	struct fs_identity file;
	enum fs_type type;
	size_t index;
	int r;

	if (!*interpreter->spec->python || interpreter->path)
		return 0;
	interpreter->probes = probes;
	if (interpreter->archive) {
		spec_python_place(&interpreter->where, tree);
		prepare_locate(interpreter);
	}
	if (!interpreter->where.candidate_count)
		return spec_python_fail(interpreter->spec, &interpreter->where, &none, err);
	r = locate_begin(core, &interpreter->locate, &index, &file, &type, err);
	if (r == LOCATE_E_LATER) {
		interpreter->has_waited = true;
		return INTERPRETER_E_LATER;
	}
	return r ? r : found(interpreter, index, &file);
}
