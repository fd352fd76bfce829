#include "client/expand.h"

#include "base/util.h"
#include "proto/request-internal.h"
#include "proto/create-request.h"

static void add_archives(Pyenvd__V1__CreateEnvironmentRequest *message, const struct spec *spec)
{
	size_t i;

	for (i = 0; i < spec->archive_count; i++) {
		Pyenvd__V1__Archive *archive = new0(Pyenvd__V1__Archive);

		pyenvd__v1__archive__init(archive);
		archive->path = text_copy(spec->archives[i].path);
		archive->target_dir = text_copy(spec->archives[i].target);
		message->archives = request_append(
			message->archives, &message->n_archives, archive);
	}
}

static void add_files(Pyenvd__V1__CreateEnvironmentRequest *message, const struct spec *spec)
{
	size_t i;

	for (i = 0; i < spec->file_count; i++) {
		Pyenvd__V1__PythonFile *file = new0(Pyenvd__V1__PythonFile);

		pyenvd__v1__python_file__init(file);
		file->path = text_copy(spec->files[i].path);
		file->name = text_copy(spec->files[i].name);
		message->python_files = request_append(
			message->python_files, &message->n_python_files, file);
	}
}

static void add_requirements(struct request *request, const struct spec_requirements *from)
{
	if (!from->path)
		return;
	request_set_text(&request->requirements.path, text_copy(from->path));
	if (from->packages)
		request_set_text(
			&request->requirements.package_directory, text_copy(from->packages));
	request->message.requirements = &request->requirements;
}

int expand_flink(struct request *request, struct error *err)
{
	Pyenvd__V1__CreateEnvironmentRequest *message = &request->message;
	_cleanup_(spec_deinit) struct spec spec = { 0 };
	size_t i;
	int r;

	if (!message->flink)
		return EXPAND_E_NONE;
	r = create_request_to_spec(message, &spec, err);
	if (r)
		return r;
	request_deinit_flink(request);
	request->flink = (Pyenvd__V1__FlinkConfiguration){ 0 };
	message->flink = NULL;
	add_archives(message, &spec);
	add_files(message, &spec);
	add_requirements(request, &spec.requirements);
	request_set_python(request, spec.python);
	request_set_text(&message->python_path, text_copy(spec.python_path));
	for (i = 0; i < spec.variable_count; i++)
		request_add_variable(request, spec.variables[i].name,
			strlen(spec.variables[i].name), spec.variables[i].value);
	/* Where the configuration says that they do not count, the spec has none. */
	request_set_base(request, spec.base_path, spec.base_python_path);
	return 0;
}
