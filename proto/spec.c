#include "proto/spec.h"

#include <errno.h>

static void free_archive(struct spec_archive *archive)
{
	free(archive->path);
	free(archive->target);
}

static void free_file(struct spec_file *file)
{
	free(file->path);
	free(file->name);
}

static void free_uploads(struct spec_upload *uploads, size_t count)
{
	size_t i;

	for (i = 0; i < count; i++) {
		free(uploads[i].name);
		free(uploads[i].digest);
	}
	free(uploads);
}

void spec_requirements_deinit(struct spec_requirements *requirements)
{
	free(requirements->path);
	free(requirements->packages);
	free_uploads(requirements->files, requirements->file_count);
	free_uploads(requirements->package_files, requirements->package_count);
	*requirements = (struct spec_requirements){ 0 };
}

const char *spec_get_digest(const char *path)
{
	return text_starts_with(path, SPEC_ARTIFACT) ? path + strlen(SPEC_ARTIFACT) : NULL;
}

void spec_deinit(struct spec *spec)
{
	size_t i;

	for (i = 0; i < spec->archive_count; i++)
		free_archive(&spec->archives[i]);
	for (i = 0; i < spec->file_count; i++)
		free_file(&spec->files[i]);
	for (i = 0; i < spec->variable_count; i++) {
		free(spec->variables[i].name);
		free(spec->variables[i].value);
	}
	free(spec->archives);
	free(spec->files);
	free(spec->variables);
	free(spec->request_id);
	free(spec->label);
	spec_requirements_deinit(&spec->requirements);
	free(spec->python);
	free(spec->python_path);
	free(spec->base_path);
	free(spec->base_python_path);
	free(spec->worker_program);
	*spec = (struct spec){ 0 };
}

int spec_check_length(const char *text, size_t limit, const char *field, struct error *err)
{
	if (strlen(text) > limit)
		return fail(err, -EINVAL, "REQUEST_INVALID", "%s is longer than %zu bytes", field,
			limit);
	return 0;
}

int spec_check_path(const char *path, const char *field, struct error *err)
{
	if (!*path)
		return fail(err, -EINVAL, "REQUEST_INVALID", "%s is empty", field);
	if (strlen(path) >= PATH_MAX)
		return fail(err, -EINVAL, "REQUEST_INVALID", "%s is longer than %d bytes", field,
			PATH_MAX - 1);
	if (*path != '/')
		return fail(err, -EINVAL, "REQUEST_INVALID",
			"%s '%s' is not absolute: the daemon does not have your working directory",
			field, path);
	return 0;
}

int spec_check_inputs(size_t count, struct error *err)
{
	if (count > SPEC_MAX_INPUTS)
		return fail(err, -EINVAL, "REQUEST_INVALID",
			"more than %d archives and python files", SPEC_MAX_INPUTS);
	return 0;
}

int spec_check_digest(const char *sha256, const char *field, struct error *err)
{
	if (sha256_is_hex(sha256))
		return 0;
	return fail(err, -EINVAL, "REQUEST_INVALID",
		"%s is not a SHA-256 of 64 hex digits in lower case", field);
}

int spec_check_ttl(uint32_t seconds, struct error *err)
{
	if (seconds < 1 || seconds > SPEC_MAX_TTL)
		return fail(err, -EINVAL, "REQUEST_INVALID",
			"a time-to-live of %u seconds is not between 1 and %d", seconds,
			SPEC_MAX_TTL);
	return 0;
}

struct spec_file spec_file_of(const char *path, const char *name)
{
	struct spec_file file = { .path = text_copy(path) };
	size_t n;

	for (n = strlen(path); n > 1 && path[n - 1] == '/'; n--)
		file.path[n - 1] = 0;
	file.name = text_copy(*name ? name : strrchr(file.path, '/') + 1);
	return file;
}

/* Components that are there, and none of them "." or "..". */
static int check_target(const struct spec_archive *archive, struct error *err)
{
	const char *target = archive->target, *at = target;

	if (!*target)
		return fail(err, -EINVAL, "TARGET_INVALID",
			"the target directory of archive '%s' is empty", archive->path);
	if (*target == '/')
		return fail(err, -EINVAL, "TARGET_INVALID",
			"the target directory '%s' of archive '%s' is absolute", target,
			archive->path);
	while (true) {
		size_t n = strcspn(at, "/");

		if (n == 0 || (n == 1 && at[0] == '.'))
			return fail(err, -EINVAL, "TARGET_INVALID",
				"the target directory '%s' of archive '%s' has an empty or '.' "
				"component",
				target, archive->path);
		if (n == 2 && at[0] == '.' && at[1] == '.')
			return fail(err, -EINVAL, "TARGET_INVALID",
				"the target directory '%s' of archive '%s' climbs out of the "
				"working directory",
				target, archive->path);
		if (n > 255)
			return fail(err, -EINVAL, "TARGET_INVALID",
				"the target directory of archive '%s' has a component longer than "
				"255 bytes",
				archive->path);
		if (!at[n])
			return 0;
		at += n + 1;
	}
}

/* Whether @inner is @outer or lies beneath it. */
static bool covers(const char *outer, const char *inner)
{
	size_t n = strlen(outer);

	return strncmp(outer, inner, n) == 0 && (!inner[n] || inner[n] == '/');
}

/* Sorted as paths, '/' before all else, so that what nests is adjacent. */
static int compare_targets(const void *a, const void *b)
{
	const unsigned char *x = (const unsigned char *)((const struct spec_archive *)a)->target;
	const unsigned char *y = (const unsigned char *)((const struct spec_archive *)b)->target;

	while (*x && *x == *y)
		x++, y++;
	return (*x == '/' ? 1 : *x) - (*y == '/' ? 1 : *y);
}

static int check_conflicts(const struct spec *spec, struct error *err)
{
	struct spec_archive *sorted = new0_array(struct spec_archive, spec->archive_count);
	size_t i;
	int r = 0;

	if (spec->archive_count)
		memcpy(sorted, spec->archives, spec->archive_count * sizeof(*sorted));
	qsort(sorted, spec->archive_count, sizeof(*sorted), compare_targets);
	for (i = 1; i < spec->archive_count && r == 0; i++)
		if (covers(sorted[i - 1].target, sorted[i].target))
			r = fail(err, -EINVAL, "TARGET_CONFLICT",
				"the target directories '%s' (archive '%s') and '%s' (archive "
				"'%s') "
				"are equal or one lies in the other",
				sorted[i - 1].target, sorted[i - 1].path, sorted[i].target,
				sorted[i].path);
	free(sorted);
	return r;
}

static int check_file(const struct spec_file *file, struct error *err)
{
	if (!*file->name || strchr(file->name, '/') || text_equal(file->name, ".") ||
		text_equal(file->name, ".."))
		return fail(err, -EINVAL, "REQUEST_INVALID",
			"python file '%s': the name '%s' is not a file name", file->path,
			file->name);
	if (strlen(file->name) > 255)
		return fail(err, -EINVAL, "REQUEST_INVALID",
			"python file '%s': its name is longer than 255 bytes", file->path);
	return 0;
}

static int compare_variables(const void *a, const void *b)
{
	return strcmp(
		((const struct spec_variable *)a)->name, ((const struct spec_variable *)b)->name);
}

static int check_variables(struct spec *spec, struct error *err)
{
	size_t i;

	if (spec->variable_count)
		qsort(spec->variables, spec->variable_count, sizeof(*spec->variables),
			compare_variables);
	for (i = 0; i < spec->variable_count; i++) {
		const char *name = spec->variables[i].name;

		if (!*name || strchr(name, '='))
			return fail(err, -EINVAL, "REQUEST_INVALID",
				"variables: '%s' is not the name of a variable", name);
		if (i && text_equal(name, spec->variables[i - 1].name))
			return fail(err, -EINVAL, "REQUEST_INVALID",
				"variables: '%s' is given twice", name);
	}
	return 0;
}

int spec_check(struct spec *spec, struct error *err)
{
	size_t i;
	int r;

	for (i = 0; i < spec->archive_count; i++) {
		r = check_target(&spec->archives[i], err);
		if (r)
			return r;
	}
	r = check_conflicts(spec, err);
	for (i = 0; i < spec->file_count && r == 0; i++)
		r = check_file(&spec->files[i], err);
	if (r == 0)
		r = check_variables(spec, err);
	if (r == 0 && spec->requirements.path && !*spec->python)
		r = fail(err, -EINVAL, "REQUEST_INVALID",
			"requirements '%s' are for an interpreter: python is not given",
			spec->requirements.path);
	return r;
}

enum spec_file_use spec_file_use(const char *name)
{
	static const char *const compressed[] = { ".zip", ".jar", ".tar", ".tar.gz", ".tgz" };
	size_t i;

	if (text_ends_with(name, ".py"))
		return SPEC_FILE_MODULE;
	for (i = 0; i < ARRAY_SIZE(compressed); i++)
		if (text_ends_with(name, compressed[i]))
			return SPEC_FILE_EXTRACTED;
	return SPEC_FILE_ITSELF;
}

enum job_layer spec_layer_kind(const char *name, bool is_directory)
{
	if (is_directory && name)
		return JOB_LAYER_DIRECTORY;
	if (!name || spec_file_use(name) == SPEC_FILE_EXTRACTED)
		return JOB_LAYER_ARCHIVE;
	return JOB_LAYER_FILE;
}

int spec_check_kind(const char *path, enum job_layer kind, bool is_for_container, struct error *err)
{
	if (is_for_container && kind == JOB_LAYER_DIRECTORY)
		return fail(err, -EINVAL, "WORKER_MISMATCH",
			"'%s' is a directory: workers that are containers can only be given files",
			path);
	return 0;
}

const struct spec_archive *spec_find_archive(
	const struct spec *spec, const char *path, const char **rest)
{
	size_t i;

	for (i = 0; i < spec->archive_count; i++) {
		const char *target = spec->archives[i].target;

		if (covers(target, path) && path[strlen(target)] == '/') {
			*rest = path + strlen(target) + 1;
			return &spec->archives[i];
		}
	}
	return NULL;
}
