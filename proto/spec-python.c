#include "proto/spec-python.h"

#include <errno.h>

#define DEFAULT_PATH "/usr/local/bin:/usr/bin:/bin"

void spec_python_deinit(struct spec_python *python)
{
	size_t i;

	for (i = 0; i < python->candidate_count; i++)
		free(python->candidates[i]);
	free(python->candidates);
	*python = (struct spec_python){ 0 };
}

static void add_candidate(struct spec_python *python, char *path)
{
	python->candidates[python->candidate_count++] = path;
}

/* Relative entries of PATH mean nothing to a daemon; they are passed over. */
static void search_path(const struct spec *spec, struct spec_python *python)
{
	const char *at = spec->base_path ? spec->base_path : DEFAULT_PATH;
	size_t n, count = 1;
	const char *c;

	for (c = at; *c; c++)
		count += *c == ':';
	python->candidates = new0_array(char *, count);
	for (;; at += n + 1) {
		n = strcspn(at, ":");
		if (*at == '/')
			add_candidate(python, text_format("%.*s/%s", (int)n, at, spec->python));
		if (!at[n])
			return;
	}
}

static bool has_dots(const char *path)
{
	_cleanup_free_ char *framed = text_format("/%s/", path);

	return strstr(framed, "/../") || strstr(framed, "/./");
}

static int find_in_archive(const struct spec *spec, struct spec_python *ret, struct error *err)
{
	ret->archive = spec_find_archive(spec, spec->python, &ret->rest);
	if (!ret->archive)
		return fail(err, -EINVAL, "REQUEST_INVALID",
			"python '%s' is a relative path that lies in the target directory of no "
			"archive of the request",
			spec->python);
	if (has_dots(ret->rest))
		return fail(err, -EINVAL, "REQUEST_INVALID",
			"python '%s' has a '.' or '..' component", spec->python);
	return 0;
}

int spec_python_find(const struct spec *spec, struct spec_python *ret, struct error *err)
{
	*ret = (struct spec_python){ 0 };
	if (!*spec->python)
		return 0;
	if (strchr(spec->python, '/') && *spec->python != '/')
		return find_in_archive(spec, ret, err);
	if (*spec->python == '/') {
		ret->candidates = new0_array(char *, 1);
		add_candidate(ret, text_copy(spec->python));
	} else {
		search_path(spec, ret);
	}
	return 0;
}

void spec_python_place(struct spec_python *python, const char *directory)
{
	python->candidates = new0_array(char *, 1);
	add_candidate(python, text_format("%s/%s", directory, python->rest));
}

int spec_python_fail(const struct spec *spec, const struct spec_python *python,
	const struct error *why, struct error *err)
{
	bool is_there = why->r == -EACCES || why->r == -EISDIR || why->r == -EINVAL;

	if (why->r != -ENOENT && why->r != -ENOTDIR && !is_there) {
		*err = *why;
		return why->r;
	}
	if (python->archive)
		return fail(err, is_there ? -EINVAL : -ENOENT,
			is_there ? "INTERPRETER_NOT_EXECUTABLE" : "INTERPRETER_NOT_FOUND",
			"python '%s': '%s' in archive '%s' %s", spec->python, python->rest,
			python->archive->path,
			is_there ? "is not a file that you may execute"
				 : "is not there, or is a link to what is not there");
	if (*spec->python == '/')
		return fail(err, is_there ? -EINVAL : -ENOENT,
			is_there ? "INTERPRETER_NOT_EXECUTABLE" : "INTERPRETER_NOT_FOUND",
			"python '%s' %s", spec->python,
			is_there ? "is not a file that you may execute" : "is not there");
	return fail(err, -ENOENT, "INTERPRETER_NOT_FOUND",
		"no '%s' that you may execute in any directory of the PATH '%s'", spec->python,
		spec->base_path ? spec->base_path : DEFAULT_PATH);
}

/* Of "…/tree/bin/python3" it is "…/tree". */
char *spec_python_home(const char *path)
{
	char *home = text_copy(path), *slash;
	int i;

	for (i = 0; i < 2; i++) {
		slash = strrchr(home, '/');
		*slash = 0;
	}
	return home;
}
