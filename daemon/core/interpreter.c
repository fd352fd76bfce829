#include "daemon/core/interpreter.h"

#include <errno.h>
#include <stdio.h>

#define DEFAULT_PATH "/usr/local/bin:/usr/bin:/bin"

void interpreter_deinit(struct interpreter *interpreter)
{
	size_t i;

	locate_cancel(&interpreter->locate);
	for (i = 0; i < interpreter->candidate_count; i++)
		free(interpreter->candidates[i]);
	free(interpreter->candidates);
	free(interpreter->path);
	free(interpreter->home);
	creation_leave(&interpreter->waiter);
	*interpreter = (struct interpreter){ 0 };
}

static void add_candidate(struct interpreter *interpreter, char *path)
{
	interpreter->candidates[interpreter->candidate_count++] = path;
}

/* Relative entries of PATH mean nothing to a daemon; they are passed over. */
static void search_path(struct interpreter *interpreter, const struct spec *spec)
{
	const char *at = spec->base_path ? spec->base_path : DEFAULT_PATH;
	size_t n, count = 1;
	const char *c;

	for (c = at; *c; c++)
		count += *c == ':';
	interpreter->candidates = new0_array(char *, count);
	for (;; at += n + 1) {
		n = strcspn(at, ":");
		if (*at == '/')
			add_candidate(
				interpreter, text_format("%.*s/%s", (int)n, at, spec->python));
		if (!at[n])
			return;
	}
}

static bool has_dots(const char *path)
{
	_cleanup_free_ char *framed = text_format("/%s/", path);

	return strstr(framed, "/../") || strstr(framed, "/./");
}

/* What was tried, for a person. */
static int explain(
	const struct interpreter *interpreter, const struct error *why, struct error *err)
{
	const char *python = interpreter->spec->python;
	bool is_there = why->r == -EACCES || why->r == -EISDIR || why->r == -EINVAL;

	if (why->r != -ENOENT && why->r != -ENOTDIR && !is_there) {
		*err = *why;
		return why->r;
	}
	if (interpreter->archive)
		return fail(err, is_there ? -EINVAL : -ENOENT,
			is_there ? "INTERPRETER_NOT_EXECUTABLE" : "INTERPRETER_NOT_FOUND",
			"python '%s': '%s' in archive '%s' %s", python, interpreter->rest,
			interpreter->archive->path,
			is_there ? "is not a file that you may execute"
				 : "is not there, or is a link to what is not there");
	if (*python == '/')
		return fail(err, is_there ? -EINVAL : -ENOENT,
			is_there ? "INTERPRETER_NOT_EXECUTABLE" : "INTERPRETER_NOT_FOUND",
			"python '%s' %s", python,
			is_there ? "is not a file that you may execute" : "is not there");
	return fail(err, -ENOENT, "INTERPRETER_NOT_FOUND",
		"no '%s' that you may execute in any directory of the PATH '%s'", python,
		interpreter->spec->base_path ? interpreter->spec->base_path : DEFAULT_PATH);
}

/* ---- who it is */

/* One in an archive, "…/tree/venv/bin/python3", may need to be told that "…/tree/venv" is
 * where its library is. */
static char *find_home(const struct interpreter *interpreter)
{
	char *home, *slash;
	int i;

	if (!interpreter->archive)
		return NULL;
	home = text_copy(interpreter->path);
	for (i = 0; i < 2; i++) {
		slash = strrchr(home, '/');
		*slash = 0;
	}
	return home;
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

	interpreter->path = text_copy(interpreter->candidates[index]);
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
		explain(interpreter, err, &why);
	else if (found(interpreter, index, file) == INTERPRETER_E_LATER)
		return;
	interpreter->done(interpreter, err ? &why : NULL);
}

static int prepare_in_archive(
	struct interpreter *interpreter, const struct spec *spec, struct error *err)
{
	const char *python = spec->python;

	interpreter->archive = spec_find_archive(spec, python, &interpreter->rest);
	if (!interpreter->archive)
		return fail(err, -EINVAL, "REQUEST_INVALID",
			"python '%s' is a relative path that lies in the target directory of no "
			"archive of the request",
			python);
	if (has_dots(interpreter->rest))
		return fail(err, -EINVAL, "REQUEST_INVALID",
			"python '%s' has a '.' or '..' component", python);
	return 0;
}

static void prepare_locate(struct interpreter *interpreter)
{
	interpreter->locate.paths = (const char *const *)interpreter->candidates;
	interpreter->locate.path_count = interpreter->candidate_count;
}

void interpreter_know(struct interpreter *interpreter, const char *path, const char *home)
{
	interpreter->path = text_copy(path);
	interpreter->home = text_copy(home);
}

int interpreter_prepare(struct interpreter *interpreter, const struct spec *spec,
	const struct peer *peer, struct error *err)
{
	const char *python = spec->python;

	interpreter->spec = spec;
	interpreter->locate = (struct locate){
		.executable = true,
		.peer = peer,
		.done = on_located,
	};
	if (!*python)
		return 0;
	if (strchr(python, '/') && *python != '/')
		return prepare_in_archive(interpreter, spec, err);
	if (interpreter->path)
		return 0;
	if (*python == '/') {
		interpreter->candidates = new0_array(char *, 1);
		add_candidate(interpreter, text_copy(python));
	} else {
		search_path(interpreter, spec);
	}
	prepare_locate(interpreter);
	return 0;
}

int interpreter_find(struct interpreter *interpreter, struct core *core, struct probes *probes,
	const char *layer, struct error *err)
{
	static const struct error none = { .r = -ENOENT };
	struct fs_identity file;
	enum fs_type type;
	size_t index;
	int r;

	if (!*interpreter->spec->python || interpreter->path)
		return 0;
	interpreter->probes = probes;
	if (interpreter->archive) {
		interpreter->candidates = new0_array(char *, 1);
		add_candidate(interpreter, text_format("%s/tree/%s", layer, interpreter->rest));
		prepare_locate(interpreter);
	}
	if (!interpreter->candidate_count)
		return explain(interpreter, &none, err);
	r = locate_begin(core, &interpreter->locate, &index, &file, &type, err);
	if (r == LOCATE_E_LATER) {
		interpreter->has_waited = true;
		return INTERPRETER_E_LATER;
	}
	return r ? r : found(interpreter, index, &file);
}
