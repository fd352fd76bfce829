#include "proto/request.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>
#include "base/buffer.h"
#include "base/util.h"
#include "proto/request-internal.h"

void request_begin(struct request *request)
{
	if (request->is_begun)
		return;
	request->is_begun = true;
	pyenvd__v1__create_environment_request__init(&request->message);
	pyenvd__v1__holder__init(&request->holder);
	pyenvd__v1__process_holder__init(&request->process);
	pyenvd__v1__time_to_live_holder__init(&request->time_to_live);
	pyenvd__v1__process_worker__init(&request->process_worker);
	pyenvd__v1__docker_worker__init(&request->docker_worker);
	pyenvd__v1__requirements__init(&request->requirements);
}

void request_set_text(char **field, char *text)
{
	if (*field != protobuf_c_empty_string)
		free(*field);
	*field = text;
}

static void free_text(char *text)
{
	if (text != protobuf_c_empty_string)
		free(text);
}

static void clear_base(Pyenvd__V1__CreateEnvironmentRequest *message)
{
	size_t i;

	for (i = 0; i < message->n_base_variables; i++) {
		free_text(message->base_variables[i]->key);
		free_text(message->base_variables[i]->value);
		free(message->base_variables[i]);
	}
	free(message->base_variables);
	message->base_variables = NULL;
	message->n_base_variables = 0;
}

void request_deinit(struct request *request)
{
	Pyenvd__V1__CreateEnvironmentRequest *message = &request->message;
	size_t i;

	if (!request->is_begun)
		return;
	for (i = 0; i < message->n_archives; i++) {
		free_text(message->archives[i]->path);
		free_text(message->archives[i]->target_dir);
		free_text(message->archives[i]->sha256);
		free(message->archives[i]);
	}
	for (i = 0; i < message->n_python_files; i++) {
		free_text(message->python_files[i]->path);
		free_text(message->python_files[i]->name);
		free_text(message->python_files[i]->sha256);
		free(message->python_files[i]);
	}
	for (i = 0; i < message->n_variables; i++) {
		free_text(message->variables[i]->key);
		free_text(message->variables[i]->value);
		free(message->variables[i]);
	}
	clear_base(message);
	free(message->archives);
	free(message->python_files);
	free(message->variables);
	request_deinit_flink(request);
	free_text(message->request_id);
	free_text(message->label);
	free_text(message->python);
	free_text(message->python_path);
	free_text(request->process_worker.command);
	free_text(request->docker_worker.container_image);
	free_text(request->requirements.path);
	free_text(request->requirements.package_directory);
	request_free_uploaded(request->requirements.uploaded);
	*request = (struct request){ 0 };
}

void *request_append(void *list, size_t *count, void *element)
{
	void **elements = grow_array(list, *count, sizeof(*elements));

	elements[(*count)++] = element;
	return elements;
}

int request_make_absolute(const char *path, size_t size, char **ret, struct error *err)
{
	_cleanup_free_ char *here = NULL;

	if (!size)
		return fail(err, -EINVAL, NULL, "the file's name is empty");
	if (*path == '/') {
		*ret = text_format("%.*s", (int)size, path);
		return 0;
	}
	while (size > 2 && path[0] == '.' && path[1] == '/') {
		path += 2;
		size -= 2;
	}
	here = getcwd(NULL, 0);
	if (!here)
		return fail_errno(err, -errno, NULL, "cannot tell the current directory");
	*ret = text_format("%s/%.*s", here[1] ? here : "", (int)size, path);
	return 0;
}

/* What is behind the last slash, but for those at the end. */
static char *base_name(const char *path)
{
	size_t end = strlen(path), begin;

	while (end > 1 && path[end - 1] == '/')
		end--;
	for (begin = end; begin && path[begin - 1] != '/';)
		begin--;
	return text_format("%.*s", (int)(end - begin), path + begin);
}

static int add_archive(
	struct request *request, const char *value, bool private_copy, struct error *err)
{
	Pyenvd__V1__CreateEnvironmentRequest *message = &request->message;
	const char *hash = strchrnul(value, '#');
	Pyenvd__V1__Archive *archive;
	char *path;
	int r;

	request_begin(request);
	r = request_make_absolute(value, (size_t)(hash - value), &path, err);
	if (r) {
		error_prefix(err, "archive '%s'", value);
		return r;
	}
	archive = new0(Pyenvd__V1__Archive);
	pyenvd__v1__archive__init(archive);
	archive->path = path;
	archive->target_dir = *hash ? text_copy(hash + 1) : base_name(path);
	archive->private_copy = private_copy;
	message->archives = request_append(message->archives, &message->n_archives, archive);
	return 0;
}

static int take_archive(void *data, const char *value, struct error *err)
{
	return add_archive(data, value, false, err);
}

static int take_archive_copy(void *data, const char *value, struct error *err)
{
	return add_archive(data, value, true, err);
}

static int take_python_file(void *data, const char *value, struct error *err)
{
	struct request *request = data;
	Pyenvd__V1__CreateEnvironmentRequest *message = &request->message;
	const char *hash = strchrnul(value, '#');
	Pyenvd__V1__PythonFile *file;
	char *path;
	int r;

	request_begin(request);
	r = request_make_absolute(value, (size_t)(hash - value), &path, err);
	if (r) {
		error_prefix(err, "Python file '%s'", value);
		return r;
	}
	file = new0(Pyenvd__V1__PythonFile);
	pyenvd__v1__python_file__init(file);
	file->path = path;
	if (*hash)
		file->name = text_copy(hash + 1);
	message->python_files = request_append(
		message->python_files, &message->n_python_files, file);
	return 0;
}

/* The daemon leaves out slashes at the end of a Python file. */
static bool is_at(const char *given, const char *path)
{
	size_t size = strlen(path);

	return *path && strncmp(given, path, size) == 0 &&
		strspn(given + size, "/") == strlen(given + size);
}

const char *request_get_path(const struct request *request, size_t i)
{
	const Pyenvd__V1__CreateEnvironmentRequest *message = &request->message;

	if (i < message->n_archives)
		return message->archives[i]->path;
	i -= message->n_archives;
	return i < message->n_python_files ? message->python_files[i]->path : NULL;
}

bool request_has_path(const struct request *request, const char *path)
{
	const char *given;
	size_t i;

	for (i = 0; (given = request_get_path(request, i)); i++)
		if (is_at(given, path))
			return true;
	return false;
}

void request_use_digest(struct request *request, const char *path, const char *sha256)
{
	Pyenvd__V1__CreateEnvironmentRequest *message = &request->message;
	size_t i;

	for (i = 0; i < message->n_archives; i++) {
		Pyenvd__V1__Archive *archive = message->archives[i];

		if (!is_at(archive->path, path))
			continue;
		request_set_text(&archive->path, text_copy(""));
		request_set_text(&archive->sha256, text_copy(sha256));
	}
	for (i = 0; i < message->n_python_files; i++) {
		Pyenvd__V1__PythonFile *file = message->python_files[i];

		if (!is_at(file->path, path))
			continue;
		if (!*file->name)
			request_set_text(&file->name, base_name(path));
		request_set_text(&file->path, text_copy(""));
		request_set_text(&file->sha256, text_copy(sha256));
	}
}

void request_set_python(struct request *request, const char *python)
{
	request_begin(request);
	request_set_text(&request->message.python, text_copy(python));
}

static int take_python(void *data, const char *value, struct error *err)
{
	request_set_python(data, value);
	return 0;
}

static int take_python_path(void *data, const char *value, struct error *err)
{
	struct request *request = data;
	_cleanup_buffer_ struct buffer path = { 0 };
	const char *end;
	int r;

	request_begin(request);
	buffer_append_text(&path, request->message.python_path);
	for (; *value; value = *end ? end + 1 : end) {
		_cleanup_free_ char *directory = NULL;

		end = strchrnul(value, ':');
		if (end == value)
			continue;
		r = request_make_absolute(value, (size_t)(end - value), &directory, err);
		if (r)
			return r;
		buffer_format(&path, "%s%s", path.size ? ":" : "", directory);
	}
	request_set_text(&request->message.python_path, buffer_steal_text(&path));
	return 0;
}

void request_add_variable(struct request *request, const char *name, size_t size, const char *value)
{
	Pyenvd__V1__CreateEnvironmentRequest *message = &request->message;
	Pyenvd__V1__CreateEnvironmentRequest__VariablesEntry *entry;
	size_t i;

	/* Named twice: the last wins. */
	for (i = 0; i < message->n_variables; i++) {
		entry = message->variables[i];
		if (strlen(entry->key) == size && memcmp(entry->key, name, size) == 0) {
			request_set_text(&entry->value, text_copy(value));
			return;
		}
	}
	entry = new0(Pyenvd__V1__CreateEnvironmentRequest__VariablesEntry);
	pyenvd__v1__create_environment_request__variables_entry__init(entry);
	entry->key = text_format("%.*s", (int)size, name);
	entry->value = text_copy(value);
	message->variables = request_append(message->variables, &message->n_variables, entry);
}

static int take_env(void *data, const char *value, struct error *err)
{
	const char *equals = strchr(value, '=');

	if (!equals || equals == value)
		return fail(err, -EINVAL, NULL, "'--env %s': not NAME=VALUE", value);
	request_begin(data);
	request_add_variable(data, value, (size_t)(equals - value), equals + 1);
	return 0;
}

/* Of the two kinds of worker, one. */
static int choose_worker(struct request *request,
	Pyenvd__V1__CreateEnvironmentRequest__WorkerCase worker, struct error *err)
{
	Pyenvd__V1__CreateEnvironmentRequest *message = &request->message;

	request_begin(request);
	if (message->worker_case && message->worker_case != worker)
		return fail(
			err, -EINVAL, NULL, "'--worker-command' and '--docker' exclude each other");
	message->worker_case = worker;
	return 0;
}

static int take_worker_command(void *data, const char *value, struct error *err)
{
	struct request *request = data;
	char *path;
	int r;

	r = choose_worker(
		request, PYENVD__V1__CREATE_ENVIRONMENT_REQUEST__WORKER_PROCESS_WORKER, err);
	if (r)
		return r;
	r = request_make_absolute(value, strlen(value), &path, err);
	if (r) {
		error_prefix(err, "worker command '%s'", value);
		return r;
	}
	request_set_text(&request->process_worker.command, path);
	request->message.process_worker = &request->process_worker;
	return 0;
}

static int take_docker(void *data, const char *value, struct error *err)
{
	struct request *request = data;
	int r;

	r = choose_worker(
		request, PYENVD__V1__CREATE_ENVIRONMENT_REQUEST__WORKER_DOCKER_WORKER, err);
	if (r)
		return r;
	request_set_text(&request->docker_worker.container_image, text_copy(value));
	request->message.docker_worker = &request->docker_worker;
	return 0;
}

static int take_label(void *data, const char *value, struct error *err)
{
	struct request *request = data;

	request_begin(request);
	request_set_text(&request->message.label, text_copy(value));
	return 0;
}

static int take_request_id(void *data, const char *value, struct error *err)
{
	struct request *request = data;

	request_begin(request);
	request_set_text(&request->message.request_id, text_copy(value));
	return 0;
}

static int take_bytecode(void *data, const char *value, struct error *err)
{
	static const char *const names[] = {
		[PYENVD__V1__BYTECODE__BYTECODE_DEFAULT] = "default",
		[PYENVD__V1__BYTECODE__BYTECODE_ALWAYS] = "always",
		[PYENVD__V1__BYTECODE__BYTECODE_NEVER] = "never",
	};
	struct request *request = data;
	size_t i;

	request_begin(request);
	for (i = 0; i < ARRAY_SIZE(names); i++) {
		if (strcmp(names[i], value) != 0)
			continue;
		request->message.bytecode = (Pyenvd__V1__Bytecode)i;
		return 0;
	}
	return fail(
		err, -EINVAL, NULL, "'--bytecode %s': not one of default, always, never", value);
}

const struct argument request_arguments[] = {
	{ "archive", 'a', "FILE[#TARGET]",
		"extract this archive as TARGET below the working\n"
		"directory (the file's name, if not said); repeatable",
		take_archive },
	{ "archive-copy", 0, "FILE[#TARGET]", "the same, but as a writable copy of its own",
		take_archive_copy },
	{ "python-file", 'f', "FILE[#NAME]", "put this file or directory on PYTHONPATH; repeatable",
		take_python_file },
	{ "requirements", 'r', "FILE[#DIR]",
		"install what this file requires, from an index, or\n"
		"from the packages in DIR alone",
		request_take_requirements },
	{ "refresh", 0, NULL, "what an index says now of what they do not pin",
		request_take_refresh },
	{ "python", 'p', "PYTHON",
		"the interpreter: an absolute path, a name to look up\n"
		"on PATH, or a path that begins with a TARGET",
		take_python },
	{ "python-path", 0, "DIR[:DIR]…", "directories of the host for PYTHONPATH",
		take_python_path },
	{ "env", 'e', "NAME=VALUE", "a variable of the environment; repeatable", take_env },
	{ "flink-conf", 0, "FILE",
		"what is above, said by python.* of this configuration\nof Flink instead",
		request_take_flink_conf },
	{ "cached-file", 0, "KEY=FILE",
		"where a file of Flink's distributed cache is, which a\n"
		"key map of the configuration names; repeatable",
		request_take_cached_file },
	{ "bytecode", 0, "WHEN", "compile ahead: default, always or never", take_bytecode },
	{ "worker-command", 0, "PATH",
		"the program by which Beam starts workers, if not\n"
		"pyenvd's own",
		take_worker_command },
	{ "docker", 0, "IMAGE", "Beam starts workers as containers of this image", take_docker },
	{ "guardian", 0, "PID",
		"when this process ends, the one that holds the lease\n"
		"is ended",
		request_take_guardian },
	{ "label", 0, "TEXT", "what lists show; not part of the identity", take_label },
	{ "request-id", 0, "ID", "the same id gives the same lease", take_request_id },
	{ 0 },
};

static void add_base(struct request *request, const char *name, const char *value)
{
	Pyenvd__V1__CreateEnvironmentRequest *message = &request->message;
	Pyenvd__V1__CreateEnvironmentRequest__BaseVariablesEntry *entry;

	if (text_is_empty(value))
		return;
	entry = new0(Pyenvd__V1__CreateEnvironmentRequest__BaseVariablesEntry);
	pyenvd__v1__create_environment_request__base_variables_entry__init(entry);
	entry->key = text_copy(name);
	entry->value = text_copy(value);
	message->base_variables = request_append(
		message->base_variables, &message->n_base_variables, entry);
}

void request_set_base(struct request *request, const char *path, const char *python_path)
{
	request_begin(request);
	clear_base(&request->message);
	add_base(request, "PATH", path);
	add_base(request, "PYTHONPATH", python_path);
}

void request_hold_by_process(struct request *request, int32_t pid)
{
	request_begin(request);
	request->process.pid = pid;
	request->holder.process = &request->process;
	request->holder.holder_case = PYENVD__V1__HOLDER__HOLDER_PROCESS;
	request->message.holder = &request->holder;
}

void request_hold_for(struct request *request, uint32_t seconds)
{
	request_begin(request);
	request->time_to_live.seconds = seconds;
	request->holder.time_to_live = &request->time_to_live;
	request->holder.holder_case = PYENVD__V1__HOLDER__HOLDER_TIME_TO_LIVE;
	request->message.holder = &request->holder;
}
