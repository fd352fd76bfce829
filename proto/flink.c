/*
 * What Flink's PythonDependencyManager (in the client) and PythonDependencyInfo (in the
 * TaskManager) make of a configuration, in one step.
 *
 * Files, archives and requirements can be said twice. python.files, python.archives and
 * python.requirements are what the user wrote, with paths where the user was. From them the
 * client makes the key maps python.internal.*: each names a file of the distributed cache,
 * which has a path in each TaskManager. A TaskManager's configuration holds both, and a
 * TaskManager looks at nothing but the key maps. So does this: option by option, where there
 * is a key map, even an empty one, the user's option is not looked at. Where there is none,
 * the option's paths are taken as paths of this host.
 *
 *	option                               divided by          becomes
 *	python.files                         ','                 files, named as on the disk
 *	python.internal.files-key-map        (a map)             key -> name
 *	python.archives                      ',', the first '#'  path, target
 *	python.internal.archives-key-map     (a map)             key -> name#target, or target
 *	python.requirements                  the first '#'       file, directory of packages
 *	python.internal.requirements-file-key (a map)            "file" -> key, "cache" -> key
 *
 * Nothing is trimmed and nothing escaped; ',' at the end divide nothing. The same file, or
 * the same archive at the same target, said twice counts once, where it was said first:
 * Flink registers equal paths under one key. A path may be written as a URL with file:,
 * as in Flink; any other URL is refused, since the daemon fetches nothing.
 *
 * All other options are none of ours, python.client.executable and
 * python.loopback-server.address (which is about where the worker is started, not about
 * what is in its environment) among them.
 */
#include "proto/flink.h"

#include <errno.h>
#include <strings.h>

#define DEFAULT_PYTHON "python"
#define MAX_ENTRIES 4096

#define FILES "python.files"
#define FILES_MAP "python.internal.files-key-map"
#define ARCHIVES "python.archives"
#define ARCHIVES_MAP "python.internal.archives-key-map"
#define REQUIREMENTS "python.requirements"
#define REQUIREMENTS_MAP "python.internal.requirements-file-key"

/* NULL when it is not configured. */
static const char *find_option(const struct flink *flink, const char *key)
{
	return flink_entry_find(flink->configuration, flink->configuration_count, key);
}

/* ---- paths */

/* file:/a and file:///a are /a. */
static const char *without_scheme(const char *path)
{
	if (text_starts_with(path, "file:///"))
		return path + strlen("file://");
	if (text_starts_with(path, "file:/") && !text_starts_with(path, "file://"))
		return path + strlen("file:");
	return path;
}

static int check_path(const char *path, const char *option, struct error *err)
{
	if (strstr(path, "://") && *path != '/')
		return fail(err, -EINVAL, "REQUEST_INVALID",
			"%s '%s' is not on this host: the daemon fetches nothing; name what Flink "
			"has fetched in flink.cached_files",
			option, path);
	return spec_check_path(path, option, err);
}

/* Where the distributed cache keeps what is under @key; borrowed. */
static int find_cached(const struct flink *flink, const char *option, const char *key,
	const char **ret, struct error *err)
{
	_cleanup_free_ char *field = NULL;
	const char *path = flink_entry_find(flink->cached_files, flink->cached_file_count, key);

	if (!path)
		return fail(err, -EINVAL, "REQUEST_INVALID",
			"%s: '%s' is not in flink.cached_files", option, key);
	*ret = without_scheme(path);
	field = text_format("flink.cached_files['%s']", key);
	return check_path(*ret, field, err);
}

/* ---- lists */

/* Java's split(","): what is empty counts, but not at the end. */
struct parts {
	char *text; /* owned */
	char *next; /* NULL at the end */
	size_t count;
};

static void parts_deinit(struct parts *parts)
{
	free(parts->text);
}

static struct parts parts_of(const char *text)
{
	struct parts parts = { .text = text_copy(text), .count = 1 };
	size_t size = strlen(text), i;

	while (size && text[size - 1] == ',')
		parts.text[--size] = 0;
	for (i = 0; i < size; i++)
		parts.count += parts.text[i] == ',';
	parts.next = parts.text;
	if (!size && *text) {
		parts.next = NULL;
		parts.count = 0;
	}
	return parts;
}

/* NULL at the end. */
static char *parts_next(struct parts *parts)
{
	char *entry = parts->next, *comma = entry ? strchr(entry, ',') : NULL;

	parts->next = comma ? comma + 1 : NULL;
	if (comma)
		*comma = 0;
	return entry;
}

/* Ends @text at the first '#'; what is behind it, or NULL. */
static char *cut_at_hash(char *text)
{
	char *hash = strchr(text, '#');

	if (!hash)
		return NULL;
	*hash = 0;
	return hash + 1;
}

/* ---- python.files */

static void add_file(struct spec *spec, const char *path, const char *name)
{
	struct spec_file file = spec_file_of(path, name);
	size_t i;

	for (i = 0; i < spec->file_count; i++)
		if (text_equal(spec->files[i].path, file.path)) {
			/* As in a LinkedHashMap: the first one's place, the last one's name. */
			free(file.path);
			free(spec->files[i].name);
			spec->files[i].name = file.name;
			return;
		}
	spec->files[spec->file_count++] = file;
}

static int files_of_map(const struct flink *flink, const struct flink_map *map, struct spec *spec,
	struct error *err)
{
	const char *path;
	size_t i;
	int r;

	spec->files = new0_array(struct spec_file, map->count);
	for (i = 0; i < map->count; i++) {
		const char *key = map->rows[i].name, *name = map->rows[i].value;

		r = find_cached(flink, FILES_MAP, key, &path, err);
		if (r == 0 && !*name)
			r = fail(err, -EINVAL, "REQUEST_INVALID", "%s: '%s' has no name", FILES_MAP,
				key);
		if (r)
			return r;
		add_file(spec, path, name);
	}
	return 0;
}

static int files_of_list(const char *text, struct spec *spec, struct error *err)
{
	_cleanup_(parts_deinit) struct parts parts = parts_of(text);
	const char *path;
	int r;

	r = spec_check_inputs(parts.count, err);
	if (r)
		return r;
	spec->files = new0_array(struct spec_file, parts.count);
	while ((path = parts_next(&parts))) {
		path = without_scheme(path);
		r = check_path(path, FILES, err);
		if (r)
			return r;
		add_file(spec, path, "");
	}
	return 0;
}

/* ---- python.archives */

static int add_archive(struct spec *spec, const char *path, const char *target, const char *option,
	struct error *err)
{
	size_t i;
	int r;

	r = spec_check_length(target, SPEC_MAX_TARGET, option, err);
	if (r)
		return r;
	for (i = 0; i < spec->archive_count; i++)
		if (text_equal(spec->archives[i].path, path) &&
			text_equal(spec->archives[i].target, target))
			return 0;
	spec->archives[spec->archive_count++] = (struct spec_archive){ .path = text_copy(path),
		.target = text_copy(target) };
	return 0;
}

static int archives_of_map(const struct flink *flink, const struct flink_map *map,
	struct spec *spec, struct error *err)
{
	const char *path;
	size_t i;
	int r;

	spec->archives = new0_array(struct spec_archive, map->count);
	for (i = 0; i < map->count; i++) {
		const char *value = map->rows[i].value, *hash = strchr(value, '#');

		r = find_cached(flink, ARCHIVES_MAP, map->rows[i].name, &path, err);
		if (r == 0)
			r = add_archive(spec, path, hash ? hash + 1 : value, ARCHIVES_MAP, err);
		if (r)
			return r;
	}
	return 0;
}

/* Java's File.getName(). */
static char *name_of(const char *path)
{
	struct spec_file file = spec_file_of(path, "");

	free(file.path);
	return file.name;
}

static int archives_of_list(const char *text, struct spec *spec, struct error *err)
{
	_cleanup_(parts_deinit) struct parts parts = parts_of(text);
	char *entry;
	int r;

	r = spec_check_inputs(parts.count, err);
	if (r)
		return r;
	spec->archives = new0_array(struct spec_archive, parts.count);
	while ((entry = parts_next(&parts))) {
		const char *target = cut_at_hash(entry), *path = without_scheme(entry);
		_cleanup_free_ char *name = NULL;

		r = check_path(path, ARCHIVES, err);
		if (r)
			return r;
		name = name_of(path);
		r = add_archive(spec, path, target ? target : name, ARCHIVES, err);
		if (r)
			return r;
	}
	return 0;
}

/* ---- python.requirements */

static int requirements_of_map(const struct flink *flink, const struct flink_map *map,
	struct spec *spec, struct error *err)
{
	const char *file = flink_map_find(map, "file"), *cache = flink_map_find(map, "cache");
	const char *path;
	int r;

	if (!file)
		return 0;
	r = find_cached(flink, REQUIREMENTS_MAP, file, &path, err);
	if (r)
		return r;
	spec->requirements.path = text_copy(path);
	if (!cache)
		return 0;
	r = find_cached(flink, REQUIREMENTS_MAP, cache, &path, err);
	if (r == 0)
		spec->requirements.packages = text_copy(path);
	return r;
}

static int requirements_of_text(const char *text, struct spec *spec, struct error *err)
{
	_cleanup_free_ char *copy = text_copy(text);
	const char *packages = cut_at_hash(copy), *path = without_scheme(copy);
	int r;

	r = check_path(path, REQUIREMENTS, err);
	if (r == 0 && packages) {
		packages = without_scheme(packages);
		r = check_path(packages, REQUIREMENTS ": the directory behind the '#'", err);
	}
	if (r)
		return r;
	spec->requirements.path = text_copy(path);
	spec->requirements.packages = text_copy(packages);
	return 0;
}

/* ---- what there is a key map for */

struct kind {
	const char *map, *option;
	int (*of_map)(const struct flink *flink, const struct flink_map *map, struct spec *spec,
		struct error *err);
	int (*of_text)(const char *text, struct spec *spec, struct error *err);
};

static int fill_kind(
	const struct kind *kind, const struct flink *flink, struct spec *spec, struct error *err)
{
	_cleanup_(flink_map_deinit) struct flink_map map = { 0 };
	const char *text = find_option(flink, kind->option);
	bool has_map;
	int r;

	r = flink_map_read(
		kind->map, flink->configuration, flink->configuration_count, &map, &has_map, err);
	if (r)
		return r;
	if (has_map)
		return kind->of_map(flink, &map, spec, err);
	return text ? kind->of_text(text, spec, err) : 0;
}

static int fill_inputs(const struct flink *flink, struct spec *spec, struct error *err)
{
	static const struct kind kinds[] = {
		{ FILES_MAP, FILES, files_of_map, files_of_list },
		{ ARCHIVES_MAP, ARCHIVES, archives_of_map, archives_of_list },
		{ REQUIREMENTS_MAP, REQUIREMENTS, requirements_of_map, requirements_of_text },
	};
	size_t i;
	int r = 0;

	for (i = 0; i < ARRAY_SIZE(kinds) && r == 0; i++)
		r = fill_kind(&kinds[i], flink, spec, err);
	return r == 0 ? spec_check_inputs(spec->archive_count + spec->file_count, err) : r;
}

/* ---- the rest */

static int fill_variables(const struct flink *flink, struct spec *spec, struct error *err)
{
	_cleanup_(flink_map_deinit) struct flink_map map = { 0 };
	bool is_there;
	size_t i;
	int r;

	r = flink_map_read("python.job-options", flink->configuration, flink->configuration_count,
		&map, &is_there, err);
	for (i = 0; i < map.count && r == 0; i++)
		r = spec_check_length(map.rows[i].value, SPEC_MAX_VALUE,
			"the value of one of python.job-options", err);
	if (r)
		return r;
	spec->variables = map.rows;
	spec->variable_count = map.count;
	map = (struct flink_map){ 0 };
	return 0;
}

static int take_text(const struct flink *flink, const char *option, const char *otherwise,
	size_t limit, char **to, struct error *err)
{
	const char *text = find_option(flink, option);
	int r;

	r = text ? spec_check_length(text, limit, option, err) : 0;
	if (r)
		return r;
	free(*to);
	*to = text_copy(text ? text : otherwise);
	return 0;
}

static int fill_texts(const struct flink *flink, struct spec *spec, struct error *err)
{
	int r;

	r = take_text(flink, "python.executable", DEFAULT_PYTHON, PATH_MAX - 1, &spec->python, err);
	if (r == 0 && !*spec->python)
		r = fail(err, -EINVAL, "REQUEST_INVALID", "python.executable is empty");
	if (r == 0)
		r = take_text(flink, "python.pythonpath", "", SPEC_MAX_PATH_LIST,
			&spec->python_path, err);
	return r;
}

/* In thread mode there is no worker to prepare for: Python runs within the JVM. */
static int check_mode(const struct flink *flink, struct error *err)
{
	const char *mode = find_option(flink, "python.execution-mode");

	if (mode && strcasecmp(mode, "process") != 0)
		return fail(err, -EINVAL, "REQUEST_INVALID",
			"python.execution-mode '%s' is not served: only 'process' is", mode);
	return 0;
}

static int fill_base(const struct flink *flink, struct spec *spec, struct error *err)
{
	const char *enabled = find_option(flink, "python.systemenv.enabled");

	if (!enabled || strcasecmp(enabled, "true") == 0)
		return 0;
	if (strcasecmp(enabled, "false") != 0)
		return fail(err, -EINVAL, "REQUEST_INVALID",
			"python.systemenv.enabled '%s' is neither true nor false", enabled);
	free(STEAL(spec->base_path));
	free(STEAL(spec->base_python_path));
	return 0;
}

int flink_fill(const struct flink *flink, struct spec *spec, struct error *err)
{
	int r;

	if (flink->configuration_count > MAX_ENTRIES || flink->cached_file_count > MAX_ENTRIES)
		return fail(err, -EINVAL, "REQUEST_INVALID",
			"flink: more than %d entries of one map", MAX_ENTRIES);
	r = check_mode(flink, err);
	if (r == 0)
		r = fill_inputs(flink, spec, err);
	if (r == 0)
		r = fill_variables(flink, spec, err);
	if (r == 0)
		r = fill_texts(flink, spec, err);
	if (r == 0)
		r = fill_base(flink, spec, err);
	return r;
}
