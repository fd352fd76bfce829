/*
 * Two readers of libarchive, one on the other: one takes off the compression (format
 * "raw", exactly one filter), the other reads tar out of what the first gives. So the
 * compressed stream can be read to its end, behind the last entry, and a checksum that
 * is wrong there is found. For gzip the first is ours (inflate.c): libarchive's does not
 * check the CRC, and takes twice as long.
 *
 * libarchive is told the one format and the one filter that the first bytes show, never
 * "all": some of its readers open files of the host.
 *
 * Names are bytes. libarchive gives them as they are in the C locale, where it cannot
 * convert them; in one with UTF-8 it would bring them into a normal form, and two names
 * could become one.
 *
 * It reads, and only reads: files are written by place.c. This thread decodes, others
 * write (tar-writers.c).
 */
#include "daemon/worker/tar.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <sys/stat.h>
#include "daemon/worker/decode.h"
#include "daemon/worker/inflate.h"
#include "daemon/worker/tar-writers.h"

#define GUNZIP_SIZE (256 * 1024)

/* ---- decoding */

struct decode {
	const struct source *source;
	enum decode_kind kind;
	bool plain_is_given;
	struct gunzip *gunzip;
	uint8_t *buffer;
	struct archive *raw;
};

enum decode_kind decode_recognise(const struct source *source)
{
	static const struct {
		const char *magic;
		size_t size;
		enum decode_kind kind;
	} magics[] = {
		{ "\x1f\x8b", 2, DECODE_GZIP },
		{ "BZh", 3, DECODE_BZIP2 },
		{ "\xfd"
		  "7zXZ\0",
			6, DECODE_XZ },
		{ "\x28\xb5\x2f\xfd", 4, DECODE_ZSTD },
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(magics); i++)
		if (source->size >= magics[i].size &&
			memcmp(source->data, magics[i].magic, magics[i].size) == 0)
			return magics[i].kind;
	return DECODE_PLAIN;
}

static bool is_checksum(const uint8_t block[512])
{
	unsigned long sum = 0;
	char digits[9] = "";
	size_t i;

	for (i = 0; i < 512; i++)
		sum += i >= 148 && i < 156 ? ' ' : block[i];
	memcpy(digits, block + 148, 8);
	return strtoul(digits, NULL, 8) == sum;
}

static bool is_zero(const uint8_t *block, size_t size)
{
	return !*block && memcmp(block, block + 1, size - 1) == 0;
}

bool tar_recognise(const struct source *source)
{
	const uint8_t *block = source->data;

	if (decode_recognise(source) != DECODE_PLAIN)
		return true;
	return source->size >= 512 &&
		(memcmp(block + 257, "ustar", 5) == 0 || is_checksum(block) || is_zero(block, 512));
}

const char *decode_format(enum decode_kind kind)
{
	static const char *const names[] = {
		[DECODE_PLAIN] = "tar",
		[DECODE_GZIP] = "tar+gzip",
		[DECODE_BZIP2] = "tar+bzip2",
		[DECODE_XZ] = "tar+xz",
		[DECODE_ZSTD] = "tar+zstd",
	};

	return names[kind];
}

static int fail_stream(const struct decode *decode, const char *why, struct error *err)
{
	return fail(err, -EBADMSG, "ARCHIVE_CORRUPT", "'%s' is damaged or truncated (%s): %s",
		decode->source->path, decode_format(decode->kind), why);
}

static int open_raw(struct decode *decode, struct error *err)
{
	static int (*const filters[])(struct archive *) = {
		[DECODE_BZIP2] = archive_read_support_filter_bzip2,
		[DECODE_XZ] = archive_read_support_filter_xz,
		[DECODE_ZSTD] = archive_read_support_filter_zstd,
	};
	struct archive_entry *entry;

	decode->raw = archive_read_new();
	if (!decode->raw)
		abort();
	archive_read_support_format_raw(decode->raw);
	if (filters[decode->kind](decode->raw) != ARCHIVE_OK ||
		archive_read_open_memory(decode->raw, decode->source->data, decode->source->size) !=
			ARCHIVE_OK ||
		archive_read_next_header(decode->raw, &entry) != ARCHIVE_OK)
		return fail_stream(decode, archive_error_string(decode->raw), err);
	return 0;
}

int decode_new(
	const struct source *source, enum decode_kind kind, struct decode **ret, struct error *err)
{
	_cleanup_(decode_freep) struct decode *decode = new0(struct decode);
	int r = 0;

	decode->source = source;
	decode->kind = kind;
	if (kind == DECODE_GZIP) {
		decode->gunzip = gunzip_new(source->data, source->size);
		decode->buffer = alloc0(1, GUNZIP_SIZE);
	} else if (kind != DECODE_PLAIN) {
		r = open_raw(decode, err);
	}
	if (r == 0)
		*ret = STEAL(decode);
	return r;
}

struct decode *decode_free(struct decode *decode)
{
	if (!decode)
		return NULL;
	if (decode->raw)
		archive_read_free(decode->raw);
	gunzip_free(decode->gunzip);
	free(decode->buffer);
	free(decode);
	return NULL;
}

static ssize_t read_raw(struct decode *decode, const void **ret, struct error *err)
{
	size_t size = 0;
	la_int64_t offset;
	int r;

	do
		r = archive_read_data_block(decode->raw, ret, &size, &offset);
	while (r == ARCHIVE_OK && size == 0);
	if (r == ARCHIVE_EOF)
		return 0;
	if (r != ARCHIVE_OK)
		return fail_stream(decode, archive_error_string(decode->raw), err);
	return (ssize_t)size;
}

ssize_t decode_read(struct decode *decode, const void **ret, struct error *err)
{
	ssize_t n;

	switch (decode->kind) {
	case DECODE_PLAIN:
		*ret = decode->source->data;
		n = decode->plain_is_given ? 0 : (ssize_t)decode->source->size;
		decode->plain_is_given = true;
		return n;
	case DECODE_GZIP:
		*ret = decode->buffer;
		n = gunzip_read(decode->gunzip, decode->buffer, GUNZIP_SIZE);
		return n < 0 ? fail_stream(decode, "the gzip stream is not whole", err) : n;
	default:
		return read_raw(decode, ret, err);
	}
}

/* ---- tar */

struct reading {
	const struct archive_input *input;
	struct decode *decode;
	struct archive *archive;
	struct tar_writers *writers;
	struct error err; /* from decoding, inside libarchive */
	uint64_t entries, decoded;
};

/* Counts what comes out of the stream, also what no entry holds. */
static ssize_t decode_some(struct reading *reading, const void **ret)
{
	ssize_t n = decode_read(reading->decode, ret, &reading->err);
	int r;

	if (n <= 0)
		return n;
	reading->decoded += (uint64_t)n;
	r = place_check_ratio(reading->input->place, reading->decoded, &reading->err);
	return r ? r : n;
}

static la_ssize_t on_read(struct archive *archive, void *data, const void **ret)
{
	struct reading *reading = data;
	ssize_t n = decode_some(reading, ret);

	if (n < 0)
		archive_set_error(archive, EIO, "%s", "the stream is damaged");
	return n < 0 ? -1 : n;
}

static int fail_read(struct reading *reading, struct error *err)
{
	const char *why = archive_error_string(reading->archive);

	if (reading->err.r) {
		*err = reading->err;
		return err->r;
	}
	if (reading->decode->kind != DECODE_PLAIN && !reading->entries && why &&
		strstr(why, "Unrecognized"))
		return fail(err, -EINVAL,
			reading->decoded ? "ARCHIVE_UNRECOGNISED" : "ARCHIVE_EMPTY",
			"what is compressed in '%s' is %s", reading->input->source->path,
			reading->decoded ? "no tar" : "nothing");
	return fail(err, -EBADMSG, "ARCHIVE_CORRUPT", "'%s' is a damaged or truncated tar: %s",
		reading->input->source->path, why ? why : "it cannot be read");
}

static int open_tar(struct reading *reading, struct error *err)
{
	reading->archive = archive_read_new();
	if (!reading->archive)
		abort();
	archive_read_support_format_tar(reading->archive);
	if (archive_read_open(reading->archive, reading, NULL, on_read, NULL) != ARCHIVE_OK)
		return fail_read(reading, err);
	return 0;
}

static int copy_data(
	struct reading *reading, struct place_entry *entry, uint64_t size, struct error *err)
{
	la_int64_t offset;
	uint64_t at = 0;
	const void *data;
	size_t n;
	int r;

	tar_writers_begin(reading->writers, entry);
	while ((r = archive_read_data_block(reading->archive, &data, &n, &offset)) == ARCHIVE_OK) {
		uint64_t hole = (uint64_t)offset > at ? (uint64_t)offset - at : 0;

		if (!n)
			continue;
		at = (uint64_t)offset + n;
		r = tar_writers_put(reading->writers, hole, data, n, err);
		if (r)
			return r;
	}
	if (r != ARCHIVE_EOF || at > size)
		return fail_read(reading, err);
	return tar_writers_end(reading->writers, size - at, err);
}

static int forbid(
	const struct reading *reading, const char *name, const char *why, struct error *err)
{
	return fail(err, -EINVAL, "ENTRY_FORBIDDEN", "'%s': entry '%s' %s",
		reading->input->source->path, name, why);
}

static int describe(struct reading *reading, struct archive_entry *from,
	struct place_entry_info *info, struct error *err)
{
	mode_t mode = archive_entry_mode(from);

	*info = (struct place_entry_info){
		.name = archive_entry_pathname(from),
		.is_executable = mode & 0111,
		.mtime = archive_entry_mtime(from),
		.size = (uint64_t)archive_entry_size(from),
	};
	if (!info->name)
		return forbid(reading, "?", "has a name that cannot be read", err);
	if (archive_entry_is_encrypted(from))
		return fail(err, -EINVAL, "ARCHIVE_ENCRYPTED", "'%s': entry '%s' is encrypted",
			reading->input->source->path, info->name);
	info->target = archive_entry_hardlink(from);
	if (info->target) {
		info->type = PLACE_HARDLINK;
	} else if (S_ISLNK(mode)) {
		info->type = PLACE_SYMLINK;
		info->target = archive_entry_symlink(from);
		if (!info->target)
			return forbid(reading, info->name, "is a link to what cannot be read", err);
	} else if (S_ISDIR(mode)) {
		info->type = PLACE_DIRECTORY;
	} else if (S_ISREG(mode)) {
		info->type = PLACE_FILE;
	} else {
		return forbid(reading, info->name, "is a device, fifo or socket", err);
	}
	return 0;
}

static int read_entry(struct reading *reading, struct archive_entry *from, struct error *err)
{
	struct place_entry_info info;
	struct place_entry *entry;
	int r;

	r = describe(reading, from, &info, err);
	if (r == 0)
		r = place_add(reading->input->place, &info, &entry, err);
	if (r || info.type != PLACE_FILE)
		return r;
	return copy_data(reading, entry, info.size, err);
}

/* A plain tar has no checksum over all of it; but it ends in zeros. */
static int check_end(const struct reading *reading, struct error *err)
{
	const struct source *source = reading->input->source;

	if (reading->decode->kind != DECODE_PLAIN)
		return 0;
	if (source->size < 512 || !is_zero(source->data + source->size - 512, 512))
		return fail(err, -EBADMSG, "ARCHIVE_CORRUPT",
			"'%s' is a truncated tar: its end is not there", source->path);
	return 0;
}

/* What is behind the last entry: zeros, and the stream's own checksum. */
static int drain(struct reading *reading, struct error *err)
{
	const void *data;
	ssize_t n;

	do
		n = decode_some(reading, &data);
	while (n > 0);
	if (n < 0)
		*err = reading->err;
	return (int)n;
}

static int read_entries(struct reading *reading, struct error *err)
{
	struct archive_entry *entry;
	int r;

	while ((r = archive_read_next_header(reading->archive, &entry)) == ARCHIVE_OK ||
		r == ARCHIVE_WARN) {
		r = read_entry(reading, entry, err);
		if (r)
			return r;
		reading->entries++;
	}
	if (r != ARCHIVE_EOF)
		return fail_read(reading, err);
	r = tar_writers_finish(reading->writers, err);
	if (r == 0)
		r = drain(reading, err);
	if (r == 0)
		r = check_end(reading, err);
	if (r == 0 && !reading->entries)
		r = fail(err, -EINVAL, "ARCHIVE_EMPTY", "'%s' is an empty tar",
			reading->input->source->path);
	return r;
}

int tar_extract(const struct archive_input *input, const char **format, struct error *err)
{
	enum decode_kind kind = decode_recognise(input->source);
	_cleanup_(decode_freep) struct decode *decode = NULL;
	struct reading reading = { .input = input };
	int r;

	*format = decode_format(kind);
	r = decode_new(input->source, kind, &decode, err);
	if (r)
		return r;
	reading.decode = decode;
	report_phase(input->report, REPORT_EXTRACT, 0);
	r = open_tar(&reading, err);
	if (r == 0)
		r = tar_writers_new(input, &reading.writers, err);
	if (r == 0)
		r = read_entries(&reading, err);
	tar_writers_free(reading.writers);
	archive_read_free(reading.archive);
	return r;
}
