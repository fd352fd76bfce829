/*
 * Each file is read whole, taken apart line by line (requirements-scan, requirements-line)
 * and put together again as the one form of what it says: twice, with and without users
 * and passwords. The one with them is what is copied, the one without is what the digest is
 * of; so that what a digest stands for is what an installer reads, and no other reader's
 * view of the original matters.
 *
 * Included files are numbered as they are met. One that is included again by the same
 * path and in the same way is the same one again; one that includes itself, by whatever
 * path, is refused.
 *
 * What was uploaded has no paths: there the path is that as seen from the first file's
 * directory, for messages, and the file is found by its name (requirements-uploads). All
 * else is the same, and so is the digest.
 */
#include "daemon/worker/requirements.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>
#include "daemon/worker/requirements-packages.h"
#include "daemon/worker/requirements-uploads.h"
#include "daemon/worker/requirements-wanted.h"
#include "daemon/worker/source.h"
#include "proto/requirements-line.h"
#include "proto/requirements-name.h"
#include "proto/requirements-scan.h"

#define MAX_FILES REQUIREMENTS_MAX_FILES
#define MAX_FILE_SIZE REQUIREMENTS_MAX_FILE_SIZE
#define MAX_SIZE (16 << 20)
#define MAX_SPECIFIERS_SIZE (32 << 10) /* they are kept in the index */
#define PACKAGES "packages"

/* One file. */
struct part {
	char name[48]; /* of its copy */
	struct buffer content; /* as it was */
	struct buffer public, whole; /* as it is copied, without and with users */
	bool is_constraint;
	bool is_open; /* being read: what it includes is met within it */
};

struct reading {
	struct requirements *requirements;
	struct part parts[MAX_FILES]; /* requirements.files has the paths */
	size_t count, size;
	size_t indexes; /* --index-url */
	bool has_too_many; /* specifiers */
};

static struct requirements_file *add_file(struct requirements *requirements, const char *path,
	const char *name, const struct fs_identity *identity)
{
	struct requirements_file *file;
	size_t n = requirements->file_count;

	/* Doubles whenever full. */
	if ((n & (n - 1)) == 0) {
		requirements->files = realloc(
			requirements->files, (n ? 2 * n : 1) * sizeof(*requirements->files));
		if (!requirements->files)
			abort();
	}
	file = &requirements->files[requirements->file_count++];
	*file = (struct requirements_file){
		.path = text_copy(path),
		.name = text_copy(name),
		.identity = *identity,
	};
	return file;
}

void requirements_deinit(struct requirements *requirements)
{
	size_t i;

	for (i = 0; i < requirements->file_count; i++) {
		free(requirements->files[i].path);
		free(requirements->files[i].name);
	}
	free(requirements->files);
	requirements->files = NULL;
	requirements->file_count = 0;
	buffer_deinit(&requirements->specifiers);
}

static void reading_deinit(struct reading *reading)
{
	size_t i;

	for (i = 0; i < reading->count; i++) {
		buffer_deinit(&reading->parts[i].content);
		buffer_deinit(&reading->parts[i].public);
		buffer_deinit(&reading->parts[i].whole);
	}
}

/* ---- one file */

static int read_content(struct reading *reading, const struct source *source,
	struct buffer *content, struct error *err)
{
	ssize_t n;

	do {
		n = read(source->fd, buffer_reserve(content, 65536), 65536);
		if (n < 0)
			return fail_errno(err, -errno, NULL, "cannot read '%s'", source->path);
		content->size += (size_t)n;
		if (content->size > MAX_FILE_SIZE)
			return fail(err, -EFBIG, "LIMIT_EXCEEDED",
				"'%s' has more than %d bytes, too many for a requirements file",
				source->path, MAX_FILE_SIZE);
	} while (n);
	reading->size += content->size;
	if (reading->size > MAX_SIZE)
		return fail(err, -EFBIG, "LIMIT_EXCEEDED",
			"'%s': the requirements files together have more than %d bytes",
			source->path, MAX_SIZE);
	return source_check(source, err);
}

/* Equal content is one upload, whatever it is called. */
static bool is_same(const struct reading *reading, const struct requirements_file *file,
	const struct source *source)
{
	if (reading->requirements->uploads)
		return text_equal(file->name, source->path);
	return file->identity.ino == source->identity.ino &&
		file->identity.dev == source->identity.dev;
}

static int check_circle(
	const struct reading *reading, const struct source *source, struct error *err)
{
	const struct requirements_file *files = reading->requirements->files;
	size_t i;

	for (i = 0; i < reading->count; i++)
		if (reading->parts[i].is_open && is_same(reading, &files[i], source))
			return fail(err, -EINVAL, "REQUIREMENTS_INVALID", "'%s' includes itself",
				source->path);
	return 0;
}

static void digest_content(const struct buffer *content, uint8_t ret[SHA256_SIZE])
{
	_cleanup_(sha256_freep) struct sha256 *sha256 = sha256_new();

	if (content->size)
		sha256_add(sha256, content->data, content->size);
	sha256_end(sha256, ret);
}

static void name_copy(struct part *part, size_t number)
{
	if (number == 0)
		snprintf(part->name, sizeof(part->name), "requirements.txt");
	else
		snprintf(part->name, sizeof(part->name), "%s-%zu.txt",
			part->is_constraint ? "constraints" : "requirements", number);
}

/* Opens and reads it, and gives it a number. */
static int add_part(struct reading *reading, const struct requirements_wanted *wanted, size_t *ret,
	struct error *err)
{
	_cleanup_(source_close) struct source source = SOURCE_INIT;
	_cleanup_buffer_ struct buffer content = { 0 };
	struct part *part = &reading->parts[reading->count];
	int r;

	if (reading->count == MAX_FILES)
		return fail(err, -EFBIG, "LIMIT_EXCEEDED",
			"'%s' is one more than the %d requirements files that there may be",
			wanted->path, MAX_FILES);
	r = requirements_wanted_open(wanted, reading->requirements, &source, err);
	if (r == 0)
		r = check_circle(reading, &source, err);
	if (r == 0)
		r = read_content(reading, &source, &content, err);
	if (r)
		return r;
	part->is_constraint = wanted->is_constraint;
	name_copy(part, reading->count);
	digest_content(&content,
		add_file(reading->requirements, wanted->path, wanted->name, &source.identity)
			->digest);
	part->content = STEAL(content);
	*ret = reading->count++;
	return 0;
}

/* ---- its lines */

static int scan_part(struct reading *reading, size_t index, struct error *err);

static bool find_part(
	const struct reading *reading, const struct requirements_wanted *wanted, size_t *ret)
{
	for (*ret = 0; *ret < reading->count; (*ret)++)
		if (reading->parts[*ret].is_constraint == wanted->is_constraint &&
			text_equal(reading->requirements->files[*ret].path, wanted->path))
			return !reading->parts[*ret].is_open;
	return false;
}

static int include(struct reading *reading, size_t from, const struct requirements_line *line,
	bool *is_ours, struct error *err)
{
	_cleanup_(requirements_wanted_deinit) struct requirements_wanted wanted =
		requirements_wanted_of(&reading->requirements->files[from], line);
	struct part *part = &reading->parts[from];
	const char *option = wanted.is_constraint ? "-c" : "-r";
	bool is_new;
	size_t index;
	int r = 0;

	if (part->is_constraint && !wanted.is_constraint)
		return fail(err, -EINVAL, "REQUIREMENTS_INVALID",
			"'--requirement' in a file of constraints: pip would install what it "
			"names, "
			"uv would not");
	is_new = !find_part(reading, &wanted, &index);
	if (is_new)
		r = add_part(reading, &wanted, &index, err);
	if (r)
		return r;
	buffer_format(&part->public, "%s %s\n", option, reading->parts[index].name);
	buffer_format(&part->whole, "%s %s\n", option, reading->parts[index].name);
	/* It says itself where something is wrong within it. */
	*is_ours = false;
	return is_new ? scan_part(reading, index, err) : 0;
}

static void add_specifier(struct reading *reading, const struct requirements_line *line)
{
	_cleanup_free_ char *specifier = requirements_line_specifier(line);
	struct buffer *specifiers = &reading->requirements->specifiers;

	if (!specifier || reading->has_too_many)
		return;
	buffer_format(specifiers, "%s\n", specifier);
	reading->has_too_many = specifiers->size > MAX_SPECIFIERS_SIZE;
	if (reading->has_too_many)
		buffer_deinit(specifiers);
}

static void add_line(struct reading *reading, size_t index, const struct requirements_line *line)
{
	struct requirements *requirements = reading->requirements;
	struct part *part = &reading->parts[index];

	if (line->kind == REQUIREMENTS_REQUIREMENT && !part->is_constraint) {
		requirements->count++;
		requirements->is_pinned &= line->is_pinned;
		add_specifier(reading, line);
	}
	reading->indexes += line->index_count;
	/* uv takes no options out of constraints, and one --index-url. */
	requirements->needs_pip |= line->needs_pip || reading->indexes > 1 ||
		(part->is_constraint && line->option_count);
	requirements_line_format(line, false, &part->whole);
	requirements_line_format(line, true, &part->public);
}

/* @is_ours: a failure is this line's, not one's in a file that it includes. */
static int take_line(
	struct reading *reading, size_t index, const char *text, bool *is_ours, struct error *err)
{
	_cleanup_(requirements_line_deinit) struct requirements_line line = { 0 };
	int r;

	r = requirements_line_parse(text, reading->requirements->offline, &line, err);
	if (r)
		return r;
	if (line.kind == REQUIREMENTS_INCLUDE || line.kind == REQUIREMENTS_CONSTRAINT)
		return include(reading, index, &line, is_ours, err);
	add_line(reading, index, &line);
	return 0;
}

static int scan_part(struct reading *reading, size_t index, struct error *err)
{
	struct part *part = &reading->parts[index];
	struct requirements_scan scan = {
		.text = (const char *)part->content.data,
		.size = part->content.size,
	};
	bool is_ours = true;
	int r;

	part->is_open = true;
	for (;;) {
		_cleanup_free_ char *text = NULL;

		r = requirements_scan_next(&scan, &text, err);
		if (r == 0 && !text)
			break;
		if (r == 0)
			r = take_line(reading, index, text, &is_ours, err);
		if (r)
			break;
		is_ours = true;
	}
	part->is_open = false;
	if (r && is_ours)
		error_prefix(err, "'%s', line %u", reading->requirements->files[index].path,
			scan.number);
	buffer_deinit(&part->content);
	return r;
}

/* ---- the copy and the digest */

static int write_part(int directory, const struct part *part, struct error *err)
{
	_cleanup_close_ int fd = openat(
		directory, part->name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	int r;

	r = fd < 0 ? -errno : fs_write_all(fd, part->whole.data, part->whole.size);
	return r ? fail_errno(err, r, r == -ENOSPC || r == -EDQUOT ? "NO_SPACE" : NULL,
			   "cannot write '%s'", part->name)
		 : 0;
}

static int write_parts(const struct reading *reading, struct error *err)
{
	int directory = reading->requirements->output_fd, r = 0;
	size_t i;

	for (i = 0; directory >= 0 && i < reading->count && r == 0; i++)
		r = write_part(directory, &reading->parts[i], err);
	return r;
}

static int digest_packages(const struct reading *reading, struct requirements_packages *packages,
	struct report *report, struct error *err)
{
	const struct requirements *requirements = reading->requirements;
	_cleanup_close_ int directory = -1;

	if (requirements->output_fd >= 0) {
		if (mkdirat(requirements->output_fd, PACKAGES, 0700))
			return fail_errno(err, -errno, NULL, "cannot make '%s'", PACKAGES);
		directory = fs_open_directory(requirements->output_fd, PACKAGES);
		if (directory < 0)
			return fail_errno(err, directory, NULL, "cannot open '%s'", PACKAGES);
	}
	return requirements_packages_digest(packages, directory, requirements->reserve_bytes,
		requirements->threads, report, err);
}

/* Fields as core's hashes have them: length (8 bytes, little-endian), bytes. */
static void add_field(struct sha256 *sha256, const void *data, size_t size)
{
	uint64_t length = htole64(size);

	sha256_add(sha256, &length, sizeof(length));
	if (size)
		sha256_add(sha256, data, size);
}

static void add_number(struct sha256 *sha256, uint64_t number)
{
	number = htole64(number);
	sha256_add(sha256, &number, sizeof(number));
}

/* @packages may be NULL, which is told apart from none. */
static void make_digest(const struct reading *reading, const struct requirements_packages *packages,
	uint8_t ret[SHA256_SIZE])
{
	static const char head[] = "pyenvd requirements 1";
	_cleanup_(sha256_freep) struct sha256 *sha256 = sha256_new();
	size_t i;

	sha256_add(sha256, head, sizeof(head));
	add_number(sha256, reading->count);
	for (i = 0; i < reading->count; i++) {
		const struct part *part = &reading->parts[i];

		add_field(sha256, part->name, strlen(part->name));
		add_field(sha256, part->public.data, part->public.size);
	}
	add_number(sha256, packages != NULL);
	for (i = 0; packages && i < packages->count; i++) {
		const struct requirements_package *package = &packages->rows[i];

		add_field(sha256, package->name, strlen(package->name));
		add_field(sha256, package->digest, SHA256_SIZE);
	}
	sha256_end(sha256, ret);
}

static int open_packages(struct requirements *requirements, struct requirements_packages *packages,
	struct error *err)
{
	size_t i;
	int r;

	r = requirements->uploads
		? requirements_uploads_open_packages(requirements->uploads, packages, err)
		: requirements_packages_open(
			  requirements->packages, requirements->peer, packages, err);
	if (r)
		return r;
	if (requirements->packages)
		add_file(requirements, requirements->packages, NULL, &packages->identity);
	for (i = 0; i < packages->count; i++)
		add_file(requirements, packages->rows[i].path, NULL,
			&packages->rows[i].source.identity);
	requirements->package_count = packages->count;
	return 0;
}

static void keep_package_digests(
	struct requirements *requirements, const struct requirements_packages *packages)
{
	size_t first = requirements->file_count - packages->count, i;

	for (i = 0; i < packages->count; i++)
		memcpy(requirements->files[first + i].digest, packages->rows[i].digest,
			SHA256_SIZE);
}

/* The first, and with it all that it includes. */
static int read_parts(struct reading *reading, struct error *err)
{
	const struct requirements *requirements = reading->requirements;
	const char *slash = strrchr(requirements->path, '/');
	_cleanup_(requirements_wanted_deinit) struct requirements_wanted wanted = {
		.path = text_copy(requirements->path),
		.name = text_copy(slash ? slash + 1 : requirements->path),
	};
	size_t first;
	int r;

	r = add_part(reading, &wanted, &first, err);
	return r ? r : scan_part(reading, first, err);
}

int requirements_read(struct requirements *requirements, struct report *report, struct error *err)
{
	_cleanup_(requirements_packages_deinit) struct requirements_packages packages = { 0 };
	_cleanup_(reading_deinit) struct reading reading = { .requirements = requirements };
	bool has_packages = requirements->uploads ? requirements->uploads->has_packages
						  : requirements->packages != NULL;
	int r;

	requirements->is_pinned = true;
	r = read_parts(&reading, err);
	if (r == 0 && has_packages)
		r = open_packages(requirements, &packages, err);
	if (r)
		return r;
	report_opened(report, &requirements->files[0].identity);
	r = write_parts(&reading, err);
	if (r == 0 && has_packages)
		r = digest_packages(&reading, &packages, report, err);
	if (r)
		return r;
	keep_package_digests(requirements, &packages);
	make_digest(&reading, has_packages ? &packages : NULL, requirements->digest);
	return 0;
}
