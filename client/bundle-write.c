/*
 * The text names each file by its digest, and so each is read before anything is written; it
 * is read again when it is copied, and if it gave another digest then, the bundle would lie.
 * So the copy is what counts: it is digested as well, and the two have to agree.
 */
#include "client/bundle-write.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/buffer.h"
#include "base/fs.h"
#include "base/sha256.h"
#include "base/util.h"
#include "client/requirements-files.h"

#define PIECE_SIZE (256 * 1024)

struct held {
	char *name, *path; /* owned; the first in the bundle */
	uint64_t size;
	uint8_t sha256[SHA256_SIZE];
};

struct writer {
	bool by_name;
	int fd;
	struct buffer options, files; /* lines */
	struct held *held; /* owned */
	size_t count;
};

static void writer_deinit(struct writer *writer)
{
	size_t i;

	for (i = 0; i < writer->count; i++) {
		free(writer->held[i].name);
		free(writer->held[i].path);
	}
	free(writer->held);
	buffer_deinit(&writer->options);
	buffer_deinit(&writer->files);
}

/* ---- files */

static int open_file(const char *path, struct error *err)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	struct stat st;

	if (fd < 0 || fstat(fd, &st))
		return fail_errno(err, -errno, NULL, "cannot read '%s'", path);
	if (!S_ISREG(st.st_mode))
		return fail(err, -EINVAL, "REQUEST_INVALID",
			"'%s' is no regular file: a bundle can name it (--by-name), not hold it",
			path);
	return steal_fd(&fd);
}

/* To @to as well, if that is not -1. */
static int read_file(
	const char *path, int to, uint64_t *size, uint8_t sha256[SHA256_SIZE], struct error *err)
{
	_cleanup_(sha256_freep) struct sha256 *running = sha256_new();
	_cleanup_free_ uint8_t *piece = alloc0(1, PIECE_SIZE);
	_cleanup_close_ int fd = open_file(path, err);
	ssize_t n;
	int r;

	if (fd < 0)
		return fd;
	*size = 0;
	while ((n = read(fd, piece, PIECE_SIZE)) > 0) {
		sha256_add(running, piece, (size_t)n);
		*size += (uint64_t)n;
		r = to < 0 ? 0 : fs_write_all(to, piece, (size_t)n);
		if (r)
			return fail_errno(err, r, NULL, "cannot write the bundle");
	}
	if (n < 0)
		return fail_errno(err, -errno, NULL, "cannot read '%s'", path);
	sha256_end(running, sha256);
	return 0;
}

static const struct held *find(const struct writer *writer, const struct held *wanted)
{
	size_t i;

	for (i = 0; i < writer->count; i++)
		if (memcmp(writer->held[i].sha256, wanted->sha256, SHA256_SIZE) == 0)
			return &writer->held[i];
	return NULL;
}

static bool has_name(const struct writer *writer, const char *name)
{
	size_t i;

	for (i = 0; i < writer->count && !text_equal(writer->held[i].name, name); i++)
		;
	return i < writer->count;
}

/* The last component, unless another file has it already. */
static char *name_for(const struct writer *writer, const char *path)
{
	const char *slash = strrchr(path, '/'), *leaf = slash ? slash + 1 : path;
	char *name = text_copy(leaf);
	size_t i;

	for (i = 2; has_name(writer, name); i++) {
		free(name);
		name = text_format("%zu/%s", i, leaf);
	}
	return name;
}

/* What the bundle calls the file, in @ret, borrowed. */
static int hold(struct writer *writer, const char *path, const char **ret, struct error *err)
{
	struct held new = { 0 };
	const struct held *known;
	char digest[SHA256_HEX_SIZE];
	int r;

	*ret = path;
	if (writer->by_name)
		return 0;
	r = read_file(path, -1, &new.size, new.sha256, err);
	if (r)
		return r;
	known = find(writer, &new);
	if (known) {
		*ret = known->name;
		return 0;
	}
	*ret = new.name = name_for(writer, path);
	new.path = text_copy(path);
	writer->held = grow_array(writer->held, writer->count, sizeof(*writer->held));
	writer->held[writer->count++] = new;
	hex_format(new.sha256, SHA256_SIZE, digest);
	buffer_format(&writer->files, "file %s %" PRIu64 " %s\n", new.name, new.size, digest);
	return 0;
}

/* ---- options */

static int add(struct writer *writer, const char *option, const char *value, struct error *err)
{
	if (strchr(value, '\n'))
		return fail(err, -EINVAL, "REQUEST_INVALID",
			"'--%s': a bundle cannot say what has several lines", option);
	buffer_format(&writer->options, "%s %s\n", option, value);
	return 0;
}

static int add_file(struct writer *writer, const char *option, const char *path, const char *target,
	struct error *err)
{
	const char *name;
	int r;

	if (strchr(path, '#'))
		return fail(err, -EINVAL, "REQUEST_INVALID",
			"'%s': a bundle cannot say a name with '#' in it", path);
	r = hold(writer, path, &name, err);
	if (r)
		return r;
	_cleanup_free_ char *value = text_format("%s%s%s", name, *target ? "#" : "", target);

	return add(writer, option, value, err);
}

static int add_part(struct writer *writer, const struct requirements_here *file, bool is_first,
	struct error *err)
{
	const char *name;
	int r;

	r = hold(writer, file->path, &name, err);
	if (r)
		return r;
	if (is_first)
		return add(writer, "requirements", name, err);
	_cleanup_free_ char *value = text_format("%s#%s", name, file->name);

	return add(writer, file->is_package ? "package" : "include", value, err);
}

static int hold_requirements(
	struct writer *writer, const Pyenvd__V1__Requirements *requirements, struct error *err)
{
	_cleanup_(requirements_files_deinit) struct requirements_files files = { 0 };
	const char *packages = requirements->package_directory;
	size_t i;
	int r;

	r = requirements_files_find(requirements->path, *packages ? packages : NULL, &files, err);
	for (i = 0; i < files.count && r == 0; i++)
		r = add_part(writer, &files.rows[i], i == 0, err);
	if (r == 0 && *packages)
		buffer_append_text(&writer->options, "no-index\n");
	return r;
}

static int add_requirements(
	struct writer *writer, const Pyenvd__V1__Requirements *requirements, struct error *err)
{
	if (!requirements)
		return 0;
	if (requirements->refresh)
		buffer_append_text(&writer->options, "refresh\n");
	if (!writer->by_name)
		return hold_requirements(writer, requirements, err);
	return add_file(
		writer, "requirements", requirements->path, requirements->package_directory, err);
}

static int add_inputs(struct writer *writer, const Pyenvd__V1__CreateEnvironmentRequest *message,
	struct error *err)
{
	size_t i;
	int r = 0;

	for (i = 0; i < message->n_archives && r == 0; i++)
		r = add_file(writer,
			message->archives[i]->private_copy ? "archive-copy" : "archive",
			message->archives[i]->path, message->archives[i]->target_dir, err);
	for (i = 0; i < message->n_python_files && r == 0; i++) {
		const Pyenvd__V1__PythonFile *file = message->python_files[i];
		const char *slash = strrchr(file->path, '/');

		/* Held under another name, it keeps its own. */
		r = add_file(writer, "python-file", file->path,
			*file->name || writer->by_name ? file->name : slash + 1, err);
	}
	return r ? r : add_requirements(writer, message->requirements, err);
}

static int add_all(struct writer *writer, const Pyenvd__V1__CreateEnvironmentRequest *message,
	struct error *err)
{
	static const char *const bytecode[] = { "default", "always", "never" };
	size_t i;
	int r;

	if (message->worker_case || *message->label || *message->request_id)
		return fail(err, -EINVAL, "REQUEST_INVALID",
			"a bundle says what an environment is to be: '--docker', "
			"'--worker-command', '--label' and '--request-id' are not for it");
	r = add_inputs(writer, message, err);
	if (r == 0 && *message->python)
		r = add(writer, "python", message->python, err);
	if (r == 0 && *message->python_path)
		r = add(writer, "python-path", message->python_path, err);
	if (r == 0 && message->bytecode)
		r = add(writer, "bytecode", bytecode[message->bytecode], err);
	for (i = 0; i < message->n_variables && r == 0; i++) {
		_cleanup_free_ char *value = text_format(
			"%s=%s", message->variables[i]->key, message->variables[i]->value);

		r = add(writer, "env", value, err);
	}
	return r;
}

/* ---- all of it */

static int write_content(const struct writer *writer, struct error *err)
{
	uint8_t sha256[SHA256_SIZE];
	uint64_t size;
	size_t i;
	int r;

	for (i = 0; i < writer->count; i++) {
		r = read_file(writer->held[i].path, writer->fd, &size, sha256, err);
		if (r)
			return r;
		if (memcmp(sha256, writer->held[i].sha256, SHA256_SIZE) != 0)
			return fail(err, -ESTALE, "SOURCE_CHANGED",
				"'%s' changed while it was being read", writer->held[i].path);
	}
	return 0;
}

int bundle_write(const struct request *request, bool by_name, int fd, struct error *err)
{
	_cleanup_(writer_deinit) struct writer writer = { .by_name = by_name, .fd = fd };
	_cleanup_buffer_ struct buffer text = { 0 };
	int r;

	r = add_all(&writer, &request->message, err);
	if (r)
		return r;
	buffer_append_text(&text, "pyenvd bundle 1\n");
	buffer_append(&text, writer.options.data, writer.options.size);
	buffer_append(&text, writer.files.data, writer.files.size);
	if (writer.count)
		buffer_append_text(&text, "content\n");
	r = fs_write_all(fd, text.data, text.size);
	return r ? fail_errno(err, r, NULL, "cannot write the bundle")
		 : write_content(&writer, err);
}
