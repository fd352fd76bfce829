/*
 * A request as Flink has it. Its maps are handed on as plain arrays; what they may not
 * be given beside is known here.
 */
#include <errno.h>
#include "proto/create-request.h"
#include "proto/flink.h"

/* A request says a thing in one place. */
static int check_fields(const Pyenvd__V1__CreateEnvironmentRequest *wire, struct error *err)
{
	const struct {
		bool is_given;
		const char *field, *option;
	} fields[] = {
		{ wire->n_archives > 0, "archives", "python.archives" },
		{ wire->n_python_files > 0, "python_files", "python.files" },
		{ *wire->python, "python", "python.executable" },
		{ *wire->python_path, "python_path", "python.pythonpath" },
		{ wire->n_variables > 0, "variables", "python.job-options" },
		{ wire->requirements, "requirements", "python.requirements" },
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(fields); i++)
		if (fields[i].is_given)
			return fail(err, -EINVAL, "REQUEST_INVALID",
				"%s is given beside flink: say it there (%s in "
				"flink.configuration), "
				"or all of the request in its own fields",
				fields[i].field, fields[i].option);
	return 0;
}

int create_request_fill_flink(
	const Pyenvd__V1__CreateEnvironmentRequest *wire, struct spec *spec, struct error *err)
{
	const Pyenvd__V1__FlinkConfiguration *from = wire->flink;
	_cleanup_free_ struct flink_entry *configuration = new0_array(
		struct flink_entry, from->n_configuration);
	_cleanup_free_ struct flink_entry *cached_files = new0_array(
		struct flink_entry, from->n_cached_files);
	struct flink flink = {
		.configuration = configuration,
		.cached_files = cached_files,
		.configuration_count = from->n_configuration,
		.cached_file_count = from->n_cached_files,
	};
	size_t i;
	int r;

	for (i = 0; i < from->n_configuration; i++)
		configuration[i] = (struct flink_entry){ from->configuration[i]->key,
			from->configuration[i]->value };
	for (i = 0; i < from->n_cached_files; i++)
		cached_files[i] = (struct flink_entry){ from->cached_files[i]->key,
			from->cached_files[i]->value };
	r = check_fields(wire, err);
	return r ? r : flink_fill(&flink, spec, err);
}
