/*
 *	pyenvd bundle 1
 *	archive venv.zip#venv           an option of create's, without its "--"
 *	python venv/bin/python
 *	requirements r.txt              and, if it is held: include, package (FILE#NAME), no-index
 *	file venv.zip 1048576 <sha256>  the bundle holds it: where it is relative, it is this one
 *	content                         ends the text; the files follow, one after the other
 *
 * A file with an absolute name is one of the host; any other has to be in the bundle. The
 * options are create's own, taken by the same table; files that are held stand for themselves
 * under a name that no file can have, until their digests take its place.
 */
#include "proto/bundle.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/buffer.h"
#include "base/util.h"

#define FIRST_LINE "pyenvd bundle 1\n"
#define MAX_TEXT (1 << 20)
/* A file below what is no directory. */
#define NOWHERE "/dev/null/"

/* Where it is being read, for words. */
struct reader {
	const char *name;
	struct bundle *bundle;
	size_t line;
};

void bundle_deinit(struct bundle *bundle)
{
	size_t i;

	for (i = 0; i < bundle->word_count; i++)
		free(bundle->words[i]);
	for (i = 0; i < bundle->file_count; i++)
		free(bundle->files[i].name);
	for (i = 0; i < bundle->part_count; i++) {
		free(bundle->parts[i].file);
		free(bundle->parts[i].name);
	}
	free(bundle->parts);
	free(bundle->words);
	free(bundle->files);
	free(bundle->path);
	*bundle = (struct bundle){ 0 };
}

static int refuse(const struct reader *reader, struct error *err, const char *format, ...)
	_printf_(3, 4);

static int refuse(const struct reader *reader, struct error *err, const char *format, ...)
{
	va_list list;

	va_start(list, format);
	_cleanup_free_ char *words = text_vformat(format, list);
	va_end(list);
	return fail(err, -EINVAL, "REQUEST_INVALID", "'%s', line %zu: %s", reader->name,
		reader->line, words);
}

/* ---- lines */

static void add_word(struct bundle *bundle, char *word)
{
	bundle->words = grow_array(bundle->words, bundle->word_count, sizeof(*bundle->words));
	bundle->words[bundle->word_count++] = word;
}

/* What says of whom the lease is, or how Beam starts workers, is not a bundle's to say. */
static const struct {
	const char *name;
	bool has_value, names_file;
} options[] = {
	{ "archive", true, true },
	{ "archive-copy", true, true },
	{ "python-file", true, true },
	{ "requirements", true, true },
	{ "refresh", false, false },
	{ "python", true, false },
	{ "python-path", true, false },
	{ "env", true, false },
	{ "bytecode", true, false },
};

static int take_option(
	const struct reader *reader, const char *name, const char *value, struct error *err)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(options) && !text_equal(options[i].name, name); i++)
		;
	if (i == ARRAY_SIZE(options))
		return refuse(reader, err, "'%s' is nothing that a bundle says", name);
	if (options[i].has_value != (*value != 0))
		return refuse(reader, err, "'%s' %s value", name,
			options[i].has_value ? "needs a" : "takes no");
	add_word(reader->bundle,
		text_format("--%s%s%s%s", name, *value ? "=" : "",
			options[i].names_file && *value != '/' ? NOWHERE : "", value));
	return 0;
}

/* "NAME SIZE SHA256", where the name may have blanks. */
static int take_file(const struct reader *reader, const char *value, struct error *err)
{
	struct bundle *bundle = reader->bundle;
	const char *digest = strrchr(value, ' '), *size;
	struct bundle_file file = { 0 };

	size = digest && digest > value ? memrchr(value, ' ', (size_t)(digest - value)) : NULL;
	if (!size || size == value || *value == '/')
		return refuse(reader, err, "not 'file NAME SIZE SHA256'");
	_cleanup_free_ char *number = text_format("%.*s", (int)(digest - size - 1), size + 1);

	if (parse_u64(number, &file.size) || file.size > INT64_MAX - bundle->size)
		return refuse(reader, err, "'%s' is no size", number);
	if (!sha256_is_hex(digest + 1))
		return refuse(reader, err, "'%s' is no SHA-256", digest + 1);
	memcpy(file.sha256, digest + 1, SHA256_HEX_SIZE);
	file.name = text_format("%.*s", (int)(size - value), value);
	bundle->files = grow_array(bundle->files, bundle->file_count, sizeof(*bundle->files));
	/* Counted from where the content begins; that is not known yet. */
	file.offset = bundle->size;
	bundle->size += file.size;
	bundle->files[bundle->file_count++] = file;
	return 0;
}

/* "FILE#NAME" */
static int take_part(
	const struct reader *reader, const char *value, bool is_package, struct error *err)
{
	struct bundle *bundle = reader->bundle;
	const char *hash = strchr(value, '#');

	if (!hash || hash == value || !hash[1])
		return refuse(reader, err, "not FILE#NAME");
	bundle->parts = grow_array(bundle->parts, bundle->part_count, sizeof(*bundle->parts));
	bundle->parts[bundle->part_count++] = (struct bundle_part){
		.file = text_format("%.*s", (int)(hash - value), value),
		.name = text_copy(hash + 1),
		.is_package = is_package,
	};
	return 0;
}

static int take_line(struct reader *reader, char *line, struct error *err)
{
	char *value;

	while (*line == ' ' || *line == '\t')
		line++;
	if (!*line || *line == '#')
		return 0;
	value = line + strcspn(line, " \t");
	if (*value)
		*value++ = 0;
	value += strspn(value, " \t");
	if (text_equal(line, "file"))
		return take_file(reader, value, err);
	if (text_equal(line, "include") || text_equal(line, "package"))
		return take_part(reader, value, *line == 'p', err);
	if (text_equal(line, "no-index") && !*value) {
		reader->bundle->no_index = true;
		return 0;
	}
	return take_option(reader, line, value, err);
}

/* ---- texts */

int bundle_parse(const char *name, const char *text, struct bundle *ret, struct error *err)
{
	struct reader reader = { .name = name, .bundle = ret };
	int r = 0;

	*ret = (struct bundle){ 0 };
	while (*text && r == 0) {
		size_t size = strcspn(text, ";\n");
		_cleanup_free_ char *line = text_format("%.*s", (int)size, text);

		reader.line++;
		r = take_line(&reader, line, err);
		text += size + (text[size] != 0);
	}
	if (r == 0 && ret->file_count)
		r = fail(err, -EINVAL, "REQUEST_INVALID", "'%s' can hold no files", name);
	if (r)
		bundle_deinit(ret);
	return r;
}

/* @content: where the text ends, and what it holds begins. */
static int read_lines(
	struct reader *reader, const char *text, size_t size, size_t *content, struct error *err)
{
	const char *at = text + strlen(FIRST_LINE), *end = text + size, *stop;
	int r = 0;

	reader->line = 1;
	if (!text_starts_with(text, FIRST_LINE))
		return refuse(reader, err,
			"no bundle that this pyenvd knows: it does not begin with '%.*s'",
			(int)strlen(FIRST_LINE) - 1, FIRST_LINE);
	for (; at < end && r == 0; at = stop + 1) {
		stop = memchr(at, '\n', (size_t)(end - at));
		stop = stop ? stop : end;
		_cleanup_free_ char *line = text_format("%.*s", (int)(stop - at), at);

		reader->line++;
		if (strlen(line) != (size_t)(stop - at))
			return refuse(reader, err, "a byte that is no text");
		if (text_equal(line, "content")) {
			*content = (size_t)(stop - text) + (stop < end);
			return 0;
		}
		r = take_line(reader, line, err);
	}
	if (r == 0 && size == MAX_TEXT)
		r = refuse(reader, err, "the text has more than %d bytes", MAX_TEXT);
	*content = size;
	return r;
}

static int check_size(const struct reader *reader, size_t content, int fd, struct error *err)
{
	struct bundle *bundle = reader->bundle;
	struct stat st;
	size_t i;

	for (i = 0; i < bundle->file_count; i++)
		bundle->files[i].offset += content;
	bundle->size += content;
	if (fstat(fd, &st))
		return fail_errno(err, -errno, NULL, "cannot read '%s'", reader->name);
	if ((uint64_t)st.st_size == bundle->size)
		return 0;
	return fail(err, -EINVAL, "REQUEST_INVALID",
		"'%s' has %lld bytes, but by what it says of its files %llu", reader->name,
		(long long)st.st_size, (unsigned long long)bundle->size);
}

static ssize_t read_text(int fd, char *text)
{
	size_t size = 0;
	ssize_t n;

	while (size < MAX_TEXT && (n = read(fd, text + size, MAX_TEXT - size))) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		size += (size_t)n;
	}
	return (ssize_t)size;
}

int bundle_read(const char *path, struct bundle *ret, struct error *err)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	struct reader reader = { .name = path, .bundle = ret };
	_cleanup_free_ char *text = alloc0(1, MAX_TEXT + 1);
	ssize_t size = fd < 0 ? -errno : read_text(fd, text);
	size_t content = 0;
	int r;

	*ret = (struct bundle){ .path = text_copy(path) };
	r = size < 0 ? fail_errno(err, (int)size, NULL, "cannot read '%s'", path)
		     : read_lines(&reader, text, (size_t)size, &content, err);
	if (r == 0)
		r = check_size(&reader, content, fd, err);
	if (r)
		bundle_deinit(ret);
	return r;
}

/* ---- what it says */

void bundle_print(const struct bundle *bundle, FILE *file)
{
	size_t i;

	for (i = 0; i < bundle->word_count; i++) {
		const char *name = bundle->words[i] + strlen("--"), *end = strchrnul(name, '=');
		const char *value = *end ? end + 1 : end;

		if (text_starts_with(value, NOWHERE))
			value += strlen(NOWHERE);
		fprintf(file, "%.*s%s%s\n", (int)(end - name), name, *value ? " " : "", value);
	}
	for (i = 0; i < bundle->part_count; i++)
		fprintf(file, "%s %s#%s\n", bundle->parts[i].is_package ? "package" : "include",
			bundle->parts[i].file, bundle->parts[i].name);
	if (bundle->no_index)
		fprintf(file, "no-index\n");
	for (i = 0; i < bundle->file_count; i++)
		fprintf(file, "file %s %" PRIu64 " %s\n", bundle->files[i].name,
			bundle->files[i].size, bundle->files[i].sha256);
}

/* NULL: it is not held. */
static const char *find_digest(const struct bundle *bundle, const char *name)
{
	size_t i;

	for (i = 0; i < bundle->file_count; i++)
		if (text_equal(bundle->files[i].name, name))
			return bundle->files[i].sha256;
	return NULL;
}

static int fail_not_held(const char *name, struct error *err)
{
	return fail(err, -EINVAL, "REQUEST_INVALID",
		"'%s' is neither an absolute name nor a file of the bundle", name);
}

static int add_parts(
	const struct bundle *bundle, Pyenvd__V1__UploadedRequirements *uploaded, struct error *err)
{
	size_t i;

	for (i = 0; i < bundle->part_count; i++) {
		const struct bundle_part *part = &bundle->parts[i];
		const char *digest = find_digest(bundle, part->file);

		if (!digest)
			return fail_not_held(part->file, err);
		request_add_uploaded(uploaded, part->name, digest, part->is_package);
	}
	return 0;
}

/* Requirements that are held are so wholly. */
static int use_requirements(const struct bundle *bundle, struct request *request, struct error *err)
{
	const char *path = request_get_requirements(request), *digest, *slash;
	Pyenvd__V1__UploadedRequirements *uploaded;
	int r;

	if (!path || !text_starts_with(path, NOWHERE))
		return !bundle->part_count && !bundle->no_index
			? 0
			: fail(err, -EINVAL, "REQUEST_INVALID",
				  "'include', 'package' and 'no-index' belong to requirements that "
				  "the bundle holds");
	digest = find_digest(bundle, path + strlen(NOWHERE));
	if (!digest)
		return fail_not_held(path + strlen(NOWHERE), err);
	uploaded = request_uploaded_new(bundle->part_count + 1, bundle->no_index);
	slash = strrchr(path, '/');
	request_add_uploaded(uploaded, slash + 1, digest, false);
	r = add_parts(bundle, uploaded, err);
	if (r)
		request_free_uploaded(uploaded);
	else
		request_use_uploaded(request, uploaded);
	return r;
}

/* What is held stands for nothing any more; what still does is not held. */
static int check_held(const struct request *request, struct error *err)
{
	const char *path;
	size_t i;

	for (i = 0; (path = request_get_path(request, i)); i++)
		if (text_starts_with(path, NOWHERE))
			return fail_not_held(path + strlen(NOWHERE), err);
	return 0;
}

int bundle_fill_request(const struct bundle *bundle, struct request *request, struct error *err)
{
	const struct argument_set set = { request_arguments, request };
	_cleanup_(arguments_deinit) struct arguments arguments = { .sets = &set, .set_count = 1 };
	size_t i;
	int r;

	request_begin(request);
	r = arguments_parse(&arguments, (int)bundle->word_count, bundle->words, err);
	if (r)
		return r;
	for (i = 0; i < bundle->file_count; i++) {
		_cleanup_free_ char *path = text_format(NOWHERE "%s", bundle->files[i].name);

		request_use_digest(request, path, bundle->files[i].sha256);
	}
	r = use_requirements(bundle, request, err);
	return r ? r : check_held(request, err);
}
