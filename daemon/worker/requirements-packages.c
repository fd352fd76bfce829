/*
 * All are opened before anything is read: from then on nothing waits for somebody else's
 * disk, and the threads that copy and digest need not act as anybody.
 *
 * The digest is of what was copied, never of the original, which may be another one by
 * then without a trace.
 */
#include "daemon/worker/requirements-packages.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <unistd.h>
#include "base/utf8.h"
#include "daemon/worker/threads.h"
#include "proto/requirements-spec.h"

#define MAX_PACKAGES 4096 /* each is an open file */
#define CHUNK_SIZE (256 * 1024)

static int is_package(const struct dirent *entry)
{
	return requirements_spec_is_archive(entry->d_name, strlen(entry->d_name));
}

static int by_bytes(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

static int list(const struct source *directory, const struct identity *peer, struct dirent ***ret,
	int *count, struct error *err)
{
	int r;

	r = identity_assume(peer, err);
	if (r)
		return r;
	*count = scandirat(directory->fd, ".", ret, is_package, by_bytes);
	r = *count < 0 ? -errno : 0;
	identity_resume();
	if (r == -EACCES || r == -EPERM)
		return fail(err, -EACCES, "SOURCE_UNREADABLE", "'%s' may not be read by you",
			directory->path);
	return r ? fail_errno(err, r, NULL, "cannot read '%s'", directory->path) : 0;
}

static int open_package(const struct source *directory, const char *name,
	const struct identity *peer, struct requirements_package *package, struct error *err)
{
	package->name = text_copy(name);
	utf8_repair(package->name, strlen(name));
	if (!text_equal(package->name, name))
		return fail(err, -EINVAL, "REQUIREMENTS_INVALID",
			"'%s/%s' has a name that is not UTF-8", directory->path, package->name);
	package->path = text_format("%s/%s", directory->path, name);
	return source_open(&package->source, package->path, peer, NULL, false, err);
}

static int open_packages(const struct source *directory, const struct identity *peer,
	struct requirements_packages *ret, struct error *err)
{
	struct dirent **entries = NULL;
	int i, count = 0, r;

	r = list(directory, peer, &entries, &count, err);
	if (r)
		return r;
	if (count > MAX_PACKAGES)
		r = fail(err, -EFBIG, "LIMIT_EXCEEDED", "'%s' holds more than %d packages",
			directory->path, MAX_PACKAGES);
	else
		ret->rows = new0_array(struct requirements_package, (size_t)count);
	for (i = 0; i < count; i++) {
		if (r == 0) {
			ret->rows[ret->count].source = (struct source)SOURCE_INIT;
			r = open_package(
				directory, entries[i]->d_name, peer, &ret->rows[ret->count++], err);
		}
		free(entries[i]);
	}
	free(entries);
	return r;
}

int requirements_packages_open(const char *path, const struct identity *peer,
	struct requirements_packages *ret, struct error *err)
{
	_cleanup_(source_close) struct source directory = SOURCE_INIT;
	int r;

	*ret = (struct requirements_packages){ 0 };
	r = source_open(&directory, path, peer, NULL, true, err);
	if (r)
		return r;
	if (!directory.is_directory)
		return fail(err, -EINVAL, "SOURCE_NOT_A_FILE",
			"'%s' is a file, not a directory of packages", path);
	ret->identity = directory.identity;
	return open_packages(&directory, peer, ret, err);
}

void requirements_packages_deinit(struct requirements_packages *packages)
{
	size_t i;

	for (i = 0; i < packages->count; i++) {
		source_close(&packages->rows[i].source);
		free(packages->rows[i].path);
		free(packages->rows[i].name);
	}
	free(packages->rows);
	*packages = (struct requirements_packages){ 0 };
}

/* ---- digests, by several threads */

struct digesting {
	struct requirements_packages *packages;
	struct report *report;
	int output_fd;
	uint64_t reserve_bytes;
	pthread_mutex_t lock;
	/* Under the lock. */
	size_t next;
	struct error err;
};

/* A readable copy. */
static int copy_package(const struct digesting *digesting,
	const struct requirements_package *package, int *ret, struct error *err)
{
	_cleanup_close_ int to = openat(digesting->output_fd, package->name,
		O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	int r;

	if (to < 0)
		return fail_errno(err, -errno, NULL, "cannot make a copy of '%s'", package->path);
	r = source_fill(&package->source, to, digesting->reserve_bytes, err);
	if (r == 0)
		*ret = steal_fd(&to);
	return r;
}

static int digest_descriptor(const struct digesting *digesting,
	struct requirements_package *package, int fd, struct error *err)
{
	_cleanup_(sha256_freep) struct sha256 *sha256 = sha256_new();
	_cleanup_free_ uint8_t *buffer = alloc0(1, CHUNK_SIZE);
	off_t at = 0;
	ssize_t n;

	while ((n = pread(fd, buffer, CHUNK_SIZE, at)) > 0) {
		sha256_add(sha256, buffer, (size_t)n);
		report_add(digesting->report, (uint64_t)n, 0);
		at += n;
	}
	if (n < 0)
		return fail_errno(err, -errno, NULL, "cannot read '%s'", package->path);
	sha256_end(sha256, package->digest);
	report_add(digesting->report, 0, 1);
	return 0;
}

static int digest_package(
	const struct digesting *digesting, struct requirements_package *package, struct error *err)
{
	_cleanup_close_ int copy = -1;
	int r;

	if (digesting->output_fd < 0) {
		r = digest_descriptor(digesting, package, package->source.fd, err);
		return r ? r : source_check(&package->source, err);
	}
	r = copy_package(digesting, package, &copy, err);
	return r ? r : digest_descriptor(digesting, package, copy, err);
}

/* NULL when there is none left, or one has failed. */
static struct requirements_package *take_package(struct digesting *digesting)
{
	struct requirements_package *package = NULL;

	pthread_mutex_lock(&digesting->lock);
	if (!digesting->err.r && digesting->next < digesting->packages->count)
		package = &digesting->packages->rows[digesting->next++];
	pthread_mutex_unlock(&digesting->lock);
	return package;
}

static void *work(void *data)
{
	struct digesting *digesting = data;
	struct requirements_package *package;
	struct error err = { 0 };

	while ((package = take_package(digesting))) {
		if (digest_package(digesting, package, &err) == 0)
			continue;
		pthread_mutex_lock(&digesting->lock);
		if (!digesting->err.r)
			digesting->err = err;
		pthread_mutex_unlock(&digesting->lock);
	}
	return NULL;
}

static uint64_t total_size(const struct requirements_packages *packages)
{
	uint64_t total = 0;
	size_t i;

	for (i = 0; i < packages->count; i++)
		total += packages->rows[i].source.identity.size;
	return total;
}

int requirements_packages_digest(struct requirements_packages *packages, int output_fd,
	uint64_t reserve_bytes, unsigned threads, struct report *report, struct error *err)
{
	struct digesting digesting = {
		.packages = packages,
		.report = report,
		.output_fd = output_fd,
		.reserve_bytes = reserve_bytes,
		.lock = PTHREAD_MUTEX_INITIALIZER,
	};

	report_phase(report, REPORT_DIGEST, total_size(packages));
	threads_run(
		threads < packages->count ? threads : (uint32_t)packages->count, work, &digesting);
	if (digesting.err.r)
		*err = digesting.err;
	return digesting.err.r;
}
