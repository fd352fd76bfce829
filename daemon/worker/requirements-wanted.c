#include "daemon/worker/requirements-wanted.h"

#include "daemon/worker/requirements-uploads.h"
#include "proto/requirements-name.h"

/* Beside the file that names it. */
static char *path_of_include(const char *from, const char *text)
{
	const char *slash = strrchr(from, '/');

	if (*text == '/' || !slash)
		return text_copy(text);
	return text_format("%.*s/%s", (int)(slash - from), from, text);
}

struct requirements_wanted requirements_wanted_of(
	const struct requirements_file *from, const struct requirements_line *line)
{
	return (struct requirements_wanted){
		.path = path_of_include(from->path, line->text),
		.name = requirements_name_join(from->name, line->text),
		.is_constraint = line->kind == REQUIREMENTS_CONSTRAINT,
	};
}

void requirements_wanted_deinit(struct requirements_wanted *wanted)
{
	free(wanted->path);
	free(wanted->name);
}

int requirements_wanted_open(const struct requirements_wanted *wanted,
	const struct requirements *requirements, struct source *ret, struct error *err)
{
	return requirements->uploads
		? requirements_uploads_open(requirements->uploads, wanted->name, ret, err)
		: source_open(ret, wanted->path, requirements->peer, NULL, false, err);
}
