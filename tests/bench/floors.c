/*
 * What an extraction cannot be faster than, on this machine, and what ours takes.
 *
 *	floors inflate ARCHIVE        decodes everything, on all cores, and throws it away
 *	floors write ARCHIVE DIR      makes the same files from memory, on all cores
 *	floors extract ARCHIVE DIR    the worker's extraction, without bytecode
 *
 * DIR must not exist. Each prints its seconds. Sync and drop caches between runs, and
 * take the best of several: a file system is slow for a while after many deletions.
 */
#include <archive.h>
#include <archive_entry.h>
#include <err.h>
#include <fcntl.h>
#include <libdeflate.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zip.h>
#include "base/clock.h"
#include "base/identity.h"
#include "daemon/worker/decode.h"
#include "daemon/worker/extract.h"
#include "daemon/worker/zip.h"

#define MAX_THREADS 64

static unsigned threads;

static void in_threads(void *(*work)(void *), void *data)
{
	pthread_t others[MAX_THREADS];
	unsigned i;

	for (i = 1; i < threads; i++)
		if (pthread_create(&others[i], NULL, work, data))
			errx(1, "no thread");
	work(data);
	for (i = 1; i < threads; i++)
		pthread_join(others[i], NULL);
}

static struct source open_source(const char *path, struct error *err)
{
	const struct identity self = { .uid = geteuid(), .gid = getegid() };
	struct source source = SOURCE_INIT;

	if (source_open(&source, path, &self, NULL, false, err))
		errx(1, "%s", err->text);
	return source;
}

/* ---- inflate */

struct inflating {
	const struct source *source;
	_Atomic zip_uint64_t next;
};

static void inflate_member(zip_t *zip, zip_uint64_t index, struct libdeflate_decompressor *inflate)
{
	zip_stat_t stat;
	zip_file_t *file;
	void *packed, *whole;
	size_t made;

	if (zip_stat_index(zip, index, 0, &stat) || !stat.size)
		return;
	packed = malloc(stat.comp_size);
	whole = malloc(stat.size);
	file = zip_fopen_index(zip, index, ZIP_FL_COMPRESSED);
	if (!packed || !whole || !file ||
		zip_fread(file, packed, stat.comp_size) != (zip_int64_t)stat.comp_size)
		errx(1, "cannot read '%s'", stat.name);
	if (stat.comp_method == ZIP_CM_DEFLATE &&
		libdeflate_deflate_decompress(
			inflate, packed, stat.comp_size, whole, stat.size, &made))
		errx(1, "cannot inflate '%s'", stat.name);
	zip_fclose(file);
	free(packed);
	free(whole);
}

static void *inflate_members(void *data)
{
	struct inflating *inflating = data;
	const struct source *source = inflating->source;
	struct libdeflate_decompressor *inflate = libdeflate_alloc_decompressor();
	zip_t *zip = zip_open_from_source(
		zip_source_buffer_create(source->data, source->size, 0, NULL), ZIP_RDONLY, NULL);
	zip_uint64_t i;

	if (!zip || !inflate)
		errx(1, "no zip");
	while ((i = atomic_fetch_add(&inflating->next, 1)) <
		(zip_uint64_t)zip_get_num_entries(zip, 0))
		inflate_member(zip, i, inflate);
	libdeflate_free_decompressor(inflate);
	zip_discard(zip);
	return NULL;
}

static void inflate(const char *archive)
{
	struct error why = { 0 };
	struct source source = open_source(archive, &why);
	struct inflating inflating = { .source = &source };
	struct decode *decode;
	const void *data;

	if (source_map(&source, &why))
		errx(1, "%s", why.text);
	if (zip_recognise(&source))
		in_threads(inflate_members, &inflating);
	else if (decode_new(&source, decode_recognise(&source), &decode, &why))
		errx(1, "%s", why.text);
	else
		while (decode_read(decode, &data, &why) > 0)
			;
	if (why.r)
		errx(1, "%s", why.text);
}

/* ---- write */

struct file {
	char *name, *target;
	size_t size;
};

struct writing {
	int dir;
	struct file *files;
	size_t count;
	_Atomic size_t next;
	const char *content;
	size_t content_size;
};

static int by_size(const void *a, const void *b)
{
	const struct file *x = a, *y = b;

	return x->size < y->size ? 1 : x->size > y->size ? -1 : 0;
}

/* Directories are made on the way: they are the smaller part. */
static void add_entry(struct writing *writing, struct archive_entry *entry)
{
	const char *name = archive_entry_pathname(entry);

	if (S_ISDIR(archive_entry_mode(entry))) {
		if (mkdirat(writing->dir, name, 0755) && !text_equal(name, "./"))
			err(1, "%s", name);
		return;
	}
	writing->files = realloc(writing->files, (writing->count + 1) * sizeof(*writing->files));
	writing->files[writing->count++] = (struct file){
		.name = text_copy(name),
		.target = text_copy(archive_entry_symlink(entry)),
		.size = (size_t)archive_entry_size(entry),
	};
	if (writing->content_size < (size_t)archive_entry_size(entry))
		writing->content_size = (size_t)archive_entry_size(entry);
}

static void list(struct writing *writing, const char *path)
{
	struct archive *archive = archive_read_new();
	struct archive_entry *entry;

	archive_read_support_format_zip_seekable(archive);
	archive_read_support_format_tar(archive);
	archive_read_support_filter_all(archive);
	if (archive_read_open_filename(archive, path, 1 << 20))
		errx(1, "%s", archive_error_string(archive));
	while (archive_read_next_header(archive, &entry) == ARCHIVE_OK)
		add_entry(writing, entry);
	archive_read_free(archive);
	qsort(writing->files, writing->count, sizeof(*writing->files), by_size);
}

static void *write_files(void *data)
{
	const struct timespec times[2] = { { 0, UTIME_OMIT }, { 1700000000, 0 } };
	struct writing *writing = data;
	size_t i;

	while ((i = atomic_fetch_add(&writing->next, 1)) < writing->count) {
		const struct file *file = &writing->files[i];
		int fd;

		if (file->target) {
			if (symlinkat(file->target, writing->dir, file->name))
				err(1, "%s", file->name);
			continue;
		}
		fd = openat(writing->dir, file->name, O_WRONLY | O_CREAT | O_EXCL, 0444);
		if (fd < 0 || fs_write_all(fd, writing->content, file->size) || futimens(fd, times))
			err(1, "%s", file->name);
		close(fd);
	}
	return NULL;
}

static double write_tree(const char *archive, const char *path)
{
	struct writing writing = { 0 };
	uint64_t started;
	char *content;

	if (mkdir(path, 0755))
		err(1, "%s", path);
	writing.dir = open(path, O_RDONLY | O_DIRECTORY);
	list(&writing, archive);
	content = malloc(writing.content_size + 1);
	memset(content, 'x', writing.content_size + 1);
	writing.content = content;
	started = clock_now_us();
	in_threads(write_files, &writing);
	return (double)(clock_now_us() - started) / 1e6;
}

/* ---- extract */

static void extract(const char *archive, const char *path)
{
	struct error why = { 0 };
	struct source source = open_source(archive, &why);
	_cleanup_(report_freep) struct report *report = report_new(&(struct report_sink){ 0 });
	struct extract job = {
		.source = &source,
		.kind = EXTRACT_ARCHIVE,
		.bytecode = BYTECODE_NEVER,
		.hash = getenv("FLOORS_HASH") != NULL,
		.access_all = true,
		.threads = threads,
		.directory = path,
		.header = "floors",
		.report = report,
	};

	umask(0);
	if (mkdir(path, 0700))
		err(1, "%s", path);
	job.directory_fd = open(path, O_RDONLY | O_DIRECTORY);
	if (extract_run(&job, &why))
		errx(1, "%s", why.text);
	printf("%s, %llu entries, %llu bytes\n", job.format, (unsigned long long)job.entries,
		(unsigned long long)job.bytes);
}

int main(int argc, char **argv)
{
	uint64_t started = clock_now_us();
	double seconds = 0;

	setenv("TZ", ":/etc/localtime", 0); /* as the worker has it */
	threads = (unsigned)sysconf(_SC_NPROCESSORS_ONLN);
	threads = threads > MAX_THREADS ? MAX_THREADS : threads;
	if (argc == 3 && text_equal(argv[1], "inflate"))
		inflate(argv[2]);
	else if (argc == 4 && text_equal(argv[1], "write"))
		seconds = write_tree(argv[2], argv[3]);
	else if (argc == 4 && text_equal(argv[1], "extract"))
		extract(argv[2], argv[3]);
	else
		errx(1, "floors inflate ARCHIVE | write ARCHIVE DIR | extract ARCHIVE DIR");
	if (seconds == 0)
		seconds = (double)(clock_now_us() - started) / 1e6;
	printf("%.3f s\n", seconds);
	return 0;
}
