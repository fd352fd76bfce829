/*
 * The worker's threads, again and again: extracts each archive with four of them, looks
 * whether all is there, and removes it with four.
 *
 *	stress-worker ROUNDS FILES ARCHIVE...
 *
 * FILES is how many files each archive has. Plain, because what it is for is
 * ThreadSanitizer, under which Criterion does not run (tests/run).
 */
#include <err.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include "daemon/worker/extract.h"
#include "daemon/worker/remove.h"

#define THREADS 4

static size_t found;

static int count(const char *path, const struct stat *st, int type, struct FTW *where)
{
	found += type == FTW_F;
	return 0;
}

static void extract(const char *archive, const char *directory, size_t files)
{
	const struct identity self = { .uid = geteuid(), .gid = getegid() };
	_cleanup_(report_freep) struct report *report = report_new(&(struct report_sink){ 0 });
	_cleanup_free_ char *tree = text_format("%s/tree", directory);
	struct source source = SOURCE_INIT;
	struct error why = { 0 };
	struct extract job = {
		.source = &source,
		.peer = &self,
		.kind = EXTRACT_ARCHIVE,
		.bytecode = BYTECODE_ALWAYS,
		.hash = true,
		.access_all = true,
		.threads = THREADS,
		.directory = directory,
		.header = "stress",
		.report = report,
	};

	if (mkdir(directory, 0700))
		err(1, "%s", directory);
	job.directory_fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (source_open(&source, archive, &self, NULL, false, &why) || extract_run(&job, &why))
		errx(1, "%s: %s", archive, why.text);
	close(job.lock_fd);
	close(job.directory_fd);
	source_close(&source);
	found = 0;
	nftw(tree, count, 16, FTW_PHYS);
	if (found != files + job.compiled)
		errx(1, "%s: %zu files, not %zu and %llu compiled", archive, found, files,
			(unsigned long long)job.compiled);
}

static void sweep(int parent, char *name, bool is_layer)
{
	struct remove_job job = {
		.parent_fd = parent,
		.names = &name,
		.name_count = 1,
		.are_layers = is_layer,
		.threads = THREADS,
	};

	remove_run(&job);
	if (job.failure_count)
		errx(1, "%s: %s", name, job.failures[0]);
	remove_deinit(&job);
	if (faccessat(parent, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
		errx(1, "%s is still there", name);
}

int main(int argc, char **argv)
{
	char scratch[] = "/tmp/pyenvd-stress-XXXXXX", layer[64];
	int parent, rounds, i, round;
	size_t files;

	if (argc < 4)
		errx(2, "usage: stress-worker ROUNDS FILES ARCHIVE...");
	rounds = atoi(argv[1]);
	files = (size_t)atoi(argv[2]);
	umask(0);
	setenv("TZ", ":/etc/localtime", 0); /* as the worker has it */
	tzset();
	if (!mkdtemp(scratch))
		err(1, "%s", scratch);
	parent = open(scratch, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	for (round = 0; round < rounds; round++)
		for (i = 3; i < argc; i++) {
			snprintf(layer, sizeof(layer), "%s/layer", scratch);
			extract(argv[i], layer, files);
			sweep(parent, (char[]){ "layer" }, true);
		}
	close(parent);
	rmdir(scratch);
	return 0;
}
