#include "daemon/core/variables.h"

#define DEFAULT_PATH "/usr/local/bin:/usr/bin:/bin"

void variables_deinit(struct variables *variables)
{
	size_t i;

	for (i = 0; i < variables->count; i++) {
		free(variables->rows[i].name);
		free(variables->rows[i].value);
	}
	free(variables->rows);
	*variables = (struct variables){ 0 };
}

/* The later one wins. Takes @value. */
static void set(struct variables *variables, const char *name, char *value)
{
	size_t i;

	for (i = 0; i < variables->count; i++)
		if (text_equal(variables->rows[i].name, name)) {
			free(variables->rows[i].value);
			variables->rows[i].value = value;
			return;
		}
	variables->rows[variables->count++] = (struct spec_variable){ text_copy(name), value };
}

static void append_entry(struct buffer *path, const char *entry)
{
	if (text_is_empty(entry))
		return;
	if (path->size)
		buffer_append_text(path, ":");
	buffer_append_text(path, entry);
}

/* What was installed, python.pythonpath, python.files in their order, what was there before. */
static char *python_path(const struct spec *spec, const struct variables_places *places)
{
	struct buffer path = { 0 };
	size_t i;

	append_entry(&path, places->site);
	append_entry(&path, spec->python_path);
	for (i = 0; i < spec->file_count; i++)
		append_entry(&path, places->file_entries[i]);
	append_entry(&path, spec->base_python_path);
	return buffer_steal_text(&path);
}

static char *path(const struct spec *spec, const struct variables_places *places)
{
	const char *before = spec->base_path ? spec->base_path : DEFAULT_PATH;
	struct buffer path = { 0 };

	append_entry(&path, places->scripts);
	if (places->interpreter && places->interpreter_is_in_layer) {
		_cleanup_free_ char *directory = text_copy(places->interpreter);

		*strrchr(directory, '/') = 0;
		append_entry(&path, directory);
	}
	append_entry(&path, before);
	return buffer_steal_text(&path);
}

static int compare(const void *a, const void *b)
{
	return strcmp(
		((const struct spec_variable *)a)->name, ((const struct spec_variable *)b)->name);
}

void variables_compute(
	const struct spec *spec, const struct variables_places *places, struct variables *ret)
{
	size_t i;

	*ret = (struct variables){ 0 };
	ret->rows = new0_array(struct spec_variable, spec->variable_count + 12);
	set(ret, "PATH", path(spec, places));
	set(ret, "PYTHONPATH", python_path(spec, places));
	set(ret, "PYTHONDONTWRITEBYTECODE", text_copy("1"));
	set(ret, "PYFLINK_GATEWAY_DISABLED", text_copy("true"));
	set(ret, "BOOT_LOG_DIR", text_copy(places->base_directory));
	if (spec->archive_count)
		set(ret, "_PYTHON_WORKING_DIR", text_copy(places->working_directory));
	if (places->interpreter)
		set(ret, "python", text_copy(places->interpreter));
	if (places->requirements)
		set(ret, "_PYTHON_REQUIREMENTS_INSTALL_DIR", text_copy(places->requirements));
	/* What was uploaded is at no path. */
	if (places->requirements && !spec->requirements.file_count)
		set(ret, "_PYTHON_REQUIREMENTS_FILE", text_copy(spec->requirements.path));
	if (places->requirements && !text_is_empty(spec->requirements.packages))
		set(ret, "_PYTHON_REQUIREMENTS_CACHE", text_copy(spec->requirements.packages));
	if (places->home)
		set(ret, "PYTHONHOME", text_copy(places->home));
	for (i = 0; i < spec->variable_count; i++)
		set(ret, spec->variables[i].name, text_copy(spec->variables[i].value));
	qsort(ret->rows, ret->count, sizeof(*ret->rows), compare);
}
