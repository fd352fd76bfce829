/*
 * Lines `key=value` as a configuration of Flink, which is its own distributed cache as
 * well: whatever is taken must have absolute paths, pass no check that it should not, and
 * leak nothing.
 */
#include <stdint.h>
#include "base/utf8.h"
#include "proto/flink.h"

#define MAX_LINES 64

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t split(char *text, struct flink_entry *entries)
{
	size_t count = 0;
	char *line, *equals;

	while (count < MAX_LINES && (line = strsep(&text, "\n"))) {
		equals = strchr(line, '=');
		if (!equals)
			continue;
		*equals = 0;
		entries[count++] = (struct flink_entry){ line, equals + 1 };
	}
	return count;
}

static void expect_absolute(const char *path)
{
	if (*path != '/')
		abort();
}

static void check(const struct spec *spec)
{
	size_t i;

	for (i = 0; i < spec->archive_count; i++)
		expect_absolute(spec->archives[i].path);
	for (i = 0; i < spec->file_count; i++)
		expect_absolute(spec->files[i].path);
	if (spec->requirements.path)
		expect_absolute(spec->requirements.path);
	if (spec->requirements.packages)
		expect_absolute(spec->requirements.packages);
	for (i = 0; i < spec->variable_count; i++)
		if (!utf8_is_valid(spec->variables[i].value, strlen(spec->variables[i].value)))
			abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_free_ char *text = alloc0(size + 1, 1);
	_cleanup_(spec_deinit) struct spec spec = { 0 };
	struct flink_entry entries[MAX_LINES];
	struct flink flink = { .configuration = entries, .cached_files = entries };
	struct error err = { 0 };

	if (size)
		memcpy(text, data, size);
	if (!utf8_is_valid(text, strlen(text)))
		return 0;
	flink.configuration_count = flink.cached_file_count = split(text, entries);
	if (flink_fill(&flink, &spec, &err) == 0)
		check(&spec);
	return 0;
}
