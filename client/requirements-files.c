/*
 * The lines are read as the daemon's worker reads them, so that what is found here is what is
 * missed there. A file that includes itself, or what it must not, is not refused here: the
 * daemon has the words for that.
 */
#include "client/requirements-files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include "base/buffer.h"
#include "base/fs.h"
#include "proto/requirements-line.h"
#include "proto/requirements-name.h"
#include "proto/requirements-scan.h"
#include "proto/requirements-spec.h"

static int add(struct requirements_files *files, const char *path, const char *name,
	bool is_package, struct error *err)
{
	if (files->count == REQUIREMENTS_MAX_UPLOADS)
		return fail(err, -EFBIG, "LIMIT_EXCEEDED",
			"'%s': more than %d requirements files and packages cannot be uploaded",
			path, REQUIREMENTS_MAX_UPLOADS);
	files->rows[files->count++] = (struct requirements_here){
		text_copy(path),
		text_copy(name),
		is_package,
	};
	return 0;
}

/* In the daemon's words, where it has them. */
static int fail_read(struct error *err, const char *path, int r)
{
	if (r == -ENOENT)
		return fail(err, -EIO, NULL, "'%s' is not there", path);
	return fail(err, -EIO, NULL, "cannot read '%s': %s", path, strerror(-r));
}

/* Nothing that has to be waited for is opened. */
static int read_file(const char *path, struct buffer *ret, struct error *err)
{
	struct stat st;
	int r;

	if (stat(path, &st))
		return fail_read(err, path, -errno);
	if (!S_ISREG(st.st_mode))
		return fail_read(err, path, S_ISDIR(st.st_mode) ? -EISDIR : -EINVAL);
	if (st.st_size > REQUIREMENTS_MAX_FILE_SIZE)
		return fail(err, -EFBIG, "LIMIT_EXCEEDED",
			"'%s' has more than %d bytes, too many for a requirements file", path,
			REQUIREMENTS_MAX_FILE_SIZE);
	r = fs_read_file(AT_FDCWD, path, REQUIREMENTS_MAX_FILE_SIZE, ret);
	return r ? fail_read(err, path, r) : 0;
}

/* ---- what is included */

static char *path_of_include(const char *from, const char *text)
{
	if (*text == '/')
		return text_copy(text);
	return text_format("%.*s/%s", (int)(strrchr(from, '/') - from), from, text);
}

static bool is_same_file(const char *one, const char *other)
{
	struct stat a, b;

	return text_equal(one, other) ||
		(stat(one, &a) == 0 && stat(other, &b) == 0 && a.st_dev == b.st_dev &&
			a.st_ino == b.st_ino);
}

/* @from: which of the files. */
static int include(
	struct requirements_files *files, size_t from, const char *text, struct error *err)
{
	_cleanup_free_ char *path = path_of_include(files->rows[from].path, text);
	_cleanup_free_ char *name = requirements_name_join(files->rows[from].name, text);
	size_t i;

	for (i = 0; i < files->count; i++) {
		if (!text_equal(files->rows[i].name, name))
			continue;
		if (is_same_file(files->rows[i].path, path))
			return 0;
		return fail(err, -EINVAL, "REQUIREMENTS_INVALID",
			"'%s' and '%s' are two files, and would be one as an upload ('%s')",
			files->rows[i].path, path, name);
	}
	if (files->count == REQUIREMENTS_MAX_FILES)
		return fail(err, -EFBIG, "LIMIT_EXCEEDED",
			"'%s' is one more than the %d requirements files that there may be", path,
			REQUIREMENTS_MAX_FILES);
	return add(files, path, name, false, err);
}

static int take_line(
	struct requirements_files *files, size_t from, const char *text, struct error *err)
{
	_cleanup_(requirements_line_deinit) struct requirements_line line = { 0 };
	int r;

	r = requirements_line_parse(text, false, &line, err);
	if (r == 0 && (line.kind == REQUIREMENTS_INCLUDE || line.kind == REQUIREMENTS_CONSTRAINT))
		r = include(files, from, line.text, err);
	return r;
}

static int find_includes(struct requirements_files *files, size_t from, struct error *err)
{
	_cleanup_buffer_ struct buffer content = { 0 };
	struct requirements_scan scan = { 0 };
	int r;

	r = read_file(files->rows[from].path, &content, err);
	if (r)
		return r;
	scan.text = (const char *)content.data;
	scan.size = content.size;
	do {
		_cleanup_free_ char *text = NULL;

		r = requirements_scan_next(&scan, &text, err);
		if (r == 0 && !text)
			return 0;
		if (r == 0)
			r = take_line(files, from, text, err);
	} while (r == 0);
	error_prefix(err, "'%s', line %u", files->rows[from].path, scan.number);
	return r;
}

/* ---- packages */

static int find_packages(struct requirements_files *files, const char *directory, struct error *err)
{
	DIR *stream = opendir(directory);
	struct dirent *entry;
	int r = 0;

	if (!stream)
		return fail_read(err, directory, -errno);
	while (r == 0 && (errno = 0, entry = readdir(stream))) {
		_cleanup_free_ char *path = text_format("%s/%s", directory, entry->d_name);

		if (requirements_spec_is_archive(entry->d_name, strlen(entry->d_name)))
			r = add(files, path, entry->d_name, true, err);
	}
	if (r == 0 && errno)
		r = fail_read(err, directory, -errno);
	closedir(stream);
	return r;
}

int requirements_files_find(
	const char *path, const char *packages, struct requirements_files *ret, struct error *err)
{
	size_t i;
	int r;

	ret->rows = new0_array(struct requirements_here, REQUIREMENTS_MAX_UPLOADS);
	ret->count = 0;
	r = add(ret, path, strrchr(path, '/') + 1, false, err);
	for (i = 0; i < ret->count && r == 0; i++)
		r = find_includes(ret, i, err);
	return r || !packages ? r : find_packages(ret, packages, err);
}

void requirements_files_deinit(struct requirements_files *files)
{
	size_t i;

	for (i = 0; i < files->count; i++) {
		free(files->rows[i].path);
		free(files->rows[i].name);
	}
	free(files->rows);
	*files = (struct requirements_files){ 0 };
}
