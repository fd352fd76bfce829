/*
 * protobuf-c hands out strings that message_unpack() has found to be UTF-8 without NUL.
 * What is left to check is length, and what each field says of itself.
 */
#include "proto/create-request.h"

#include <errno.h>
#include <limits.h>

#define MAX_LABEL 256
#define MAX_REQUEST_ID 128
#define DEFAULT_GRACE_MS 30000
#define MAX_GRACE_MS (3600 * 1000)
#define MAX_IMAGE 512

/* What the spec calls a path. */
static int to_source(
	const char *path, const char *sha256, const char *field, char **ret, struct error *err)
{
	int r;

	if (*path && *sha256)
		return fail(err, -EINVAL, "REQUEST_INVALID",
			"%s '%s' has a path and a sha256: one of them says where it is", field,
			path);
	r = *sha256 ? spec_check_digest(sha256, field, err) : spec_check_path(path, field, err);
	if (r)
		return r;
	*ret = *sha256 ? text_format(SPEC_ARTIFACT "%s", sha256) : text_copy(path);
	return 0;
}

static int to_archives(
	const Pyenvd__V1__CreateEnvironmentRequest *wire, struct spec *spec, struct error *err)
{
	size_t i;
	int r;

	spec->archives = new0_array(struct spec_archive, wire->n_archives);
	for (i = 0; i < wire->n_archives; i++) {
		const Pyenvd__V1__Archive *archive = wire->archives[i];
		char *path = NULL;

		r = spec_check_length(
			archive->target_dir, SPEC_MAX_TARGET, "archives.target_dir", err);
		if (r == 0)
			r = to_source(archive->path, archive->sha256, "archives.path", &path, err);
		if (r)
			return r;
		spec->archives[spec->archive_count++] = (struct spec_archive){
			.path = path,
			.target = text_copy(archive->target_dir),
			.private_copy = archive->private_copy,
		};
	}
	return 0;
}

static int to_files(
	const Pyenvd__V1__CreateEnvironmentRequest *wire, struct spec *spec, struct error *err)
{
	size_t i;
	int r;

	spec->files = new0_array(struct spec_file, wire->n_python_files);
	for (i = 0; i < wire->n_python_files; i++) {
		const Pyenvd__V1__PythonFile *file = wire->python_files[i];
		_cleanup_free_ char *path = NULL;

		r = to_source(file->path, file->sha256, "python_files.path", &path, err);
		if (r == 0 && *file->sha256 && !*file->name)
			r = fail(err, -EINVAL, "REQUEST_INVALID",
				"python file '%s' has no name: of an artifact it must be said",
				path);
		if (r)
			return r;
		spec->files[spec->file_count++] = spec_file_of(path, file->name);
	}
	return 0;
}

static int to_variables(
	const Pyenvd__V1__CreateEnvironmentRequest *wire, struct spec *spec, struct error *err)
{
	size_t i;
	int r;

	spec->variables = new0_array(struct spec_variable, wire->n_variables);
	for (i = 0; i < wire->n_variables; i++) {
		r = spec_check_length(
			wire->variables[i]->value, SPEC_MAX_VALUE, "the value of a variable", err);
		if (r)
			return r;
		spec->variables[spec->variable_count++] = (struct spec_variable){
			.name = text_copy(wire->variables[i]->key),
			.value = text_copy(wire->variables[i]->value),
		};
	}
	return 0;
}

static int to_base_variables(
	const Pyenvd__V1__CreateEnvironmentRequest *wire, struct spec *spec, struct error *err)
{
	size_t i;
	int r;

	for (i = 0; i < wire->n_base_variables; i++) {
		const char *name = wire->base_variables[i]->key;
		const char *value = wire->base_variables[i]->value;
		char **to = text_equal(name, "PATH")     ? &spec->base_path
			: text_equal(name, "PYTHONPATH") ? &spec->base_python_path
							 : NULL;

		if (!to)
			return fail(err, -EINVAL, "REQUEST_INVALID",
				"base_variables: '%s' is neither PATH nor PYTHONPATH", name);
		r = spec_check_length(
			value, SPEC_MAX_PATH_LIST, "the value of a base variable", err);
		if (r)
			return r;
		free(*to);
		*to = text_copy(value);
	}
	return 0;
}

static int to_holder(const Pyenvd__V1__Holder *wire, struct spec *spec, struct error *err)
{
	if (!wire)
		return 0;
	switch (wire->holder_case) {
	case PYENVD__V1__HOLDER__HOLDER_PROCESS:
		spec->holder_pid = wire->process->pid;
		if (spec->holder_pid < 0)
			return fail(err, -EINVAL, "REQUEST_INVALID", "holder: %d is no process id",
				spec->holder_pid);
		spec->guardian_pid = wire->process->guardian_pid;
		if (spec->guardian_pid < 0)
			return fail(err, -EINVAL, "REQUEST_INVALID",
				"guardian: %d is no process id", spec->guardian_pid);
		return 0;
	case PYENVD__V1__HOLDER__HOLDER_CONNECTION:
		spec->holder = SPEC_HOLDER_CONNECTION;
		spec->holder_grace_ms = wire->connection->grace_ms ? wire->connection->grace_ms
								   : DEFAULT_GRACE_MS;
		if (spec->holder_grace_ms > MAX_GRACE_MS)
			return fail(err, -EINVAL, "REQUEST_INVALID",
				"holder: a grace time of %u ms is more than an hour",
				spec->holder_grace_ms);
		return 0;
	case PYENVD__V1__HOLDER__HOLDER_TIME_TO_LIVE:
		spec->holder = SPEC_HOLDER_TIME;
		spec->holder_seconds = wire->time_to_live->seconds;
		return spec_check_ttl(spec->holder_seconds, err);
	default:
		return fail(err, -EINVAL, "REQUEST_INVALID", "holder: of no kind that is known");
	}
}

static int to_compile(Pyenvd__V1__Bytecode wire, struct spec *spec, struct error *err)
{
	static const enum job_compile compiles[] = {
		[PYENVD__V1__BYTECODE__BYTECODE_DEFAULT] = JOB_COMPILE_VIRTUALENVS,
		[PYENVD__V1__BYTECODE__BYTECODE_ALWAYS] = JOB_COMPILE_ALWAYS,
		[PYENVD__V1__BYTECODE__BYTECODE_NEVER] = JOB_COMPILE_NEVER,
	};

	if ((unsigned)wire >= ARRAY_SIZE(compiles))
		return fail(
			err, -EINVAL, "REQUEST_INVALID", "bytecode: %d is not known", (int)wire);
	spec->compile = compiles[wire];
	return 0;
}

static int to_worker(
	const Pyenvd__V1__CreateEnvironmentRequest *wire, struct spec *spec, struct error *err)
{
	const char *program;
	int r;

	switch (wire->worker_case) {
	case PYENVD__V1__CREATE_ENVIRONMENT_REQUEST__WORKER_PROCESS_WORKER:
		program = wire->process_worker->command;
		if (!*program || text_equal(program, PYENVD_RUNNER))
			return 0;
		r = spec_check_path(program, "process_worker.command", err);
		break;
	case PYENVD__V1__CREATE_ENVIRONMENT_REQUEST__WORKER_DOCKER_WORKER:
		spec->worker = SPEC_WORKER_DOCKER;
		program = wire->docker_worker->container_image;
		if (!*program)
			return fail(err, -EINVAL, "REQUEST_INVALID",
				"docker_worker.container_image is empty");
		r = spec_check_length(program, MAX_IMAGE, "docker_worker.container_image", err);
		break;
	default:
		return 0;
	}
	spec->worker_program = text_copy(program);
	return r;
}

static int to_texts(
	const Pyenvd__V1__CreateEnvironmentRequest *wire, struct spec *spec, struct error *err)
{
	int r;

	r = spec_check_length(wire->request_id, MAX_REQUEST_ID, "request_id", err);
	if (r == 0)
		r = spec_check_length(wire->label, MAX_LABEL, "label", err);
	if (r == 0)
		r = spec_check_length(wire->python, PATH_MAX - 1, "python", err);
	if (r == 0)
		r = spec_check_length(wire->python_path, SPEC_MAX_PATH_LIST, "python_path", err);
	if (r == 0)
		r = spec_check_inputs(wire->n_archives + wire->n_python_files, err);
	spec->request_id = text_copy(wire->request_id);
	spec->label = text_copy(wire->label);
	spec->python = text_copy(wire->python);
	spec->python_path = text_copy(wire->python_path);
	return r;
}

/* What a request says in fields of its own, unless it does in Flink's way. */
static int to_inputs(
	const Pyenvd__V1__CreateEnvironmentRequest *wire, struct spec *spec, struct error *err)
{
	int r;

	r = to_archives(wire, spec, err);
	if (r == 0)
		r = to_files(wire, spec, err);
	if (r == 0 && wire->requirements)
		r = create_request_to_requirements(wire->requirements, &spec->requirements, err);
	if (r == 0)
		r = to_variables(wire, spec, err);
	return r;
}

int create_request_to_spec(
	const Pyenvd__V1__CreateEnvironmentRequest *wire, struct spec *ret, struct error *err)
{
	_cleanup_(spec_deinit) struct spec spec = { 0 };
	int r;

	r = to_texts(wire, &spec, err);
	if (r == 0)
		r = to_base_variables(wire, &spec, err);
	if (r == 0)
		r = wire->flink ? create_request_fill_flink(wire, &spec, err)
				: to_inputs(wire, &spec, err);
	if (r == 0)
		r = to_holder(wire->holder, &spec, err);
	if (r == 0)
		r = to_compile(wire->bytecode, &spec, err);
	if (r == 0)
		r = to_worker(wire, &spec, err);
	if (r == 0)
		r = spec_check(&spec, err);
	if (r == 0)
		*ret = STEAL(spec);
	return r;
}
