/*
 * The digest first, and then, only if the daemon does not have it, the content: read twice,
 * for the daemon wants to know what will come before it comes.
 */
#include "client/upload.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/util.h"

#define PIECE_SIZE (256 * 1024)
#define PROGRESS_US 100000

struct upload {
	const struct session *session;
	const char *path;
	struct progress *progress; /* NULL: not shown */
	int fd;
	uint64_t offset, size, done, told_us;
	Pyenvd__V1__Phase phase;
	int failed; /* the errno of a read() */
};

static enum pyenvd_code fail_here(
	const struct upload *upload, int number, struct pyenvd_error *error)
{
	*error = (struct pyenvd_error){ .code = PYENVD_UNKNOWN, .is_local = true };
	snprintf(error->message, sizeof(error->message), "cannot read '%s': %s", upload->path,
		strerror(number));
	return error->code;
}

/* A fifo or a hung device must not be waited for. */
static int open_regular(const char *path, struct stat *st)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);

	if (fd < 0 || fstat(fd, st))
		return -errno;
	if (S_ISREG(st->st_mode))
		return steal_fd(&fd);
	return S_ISDIR(st->st_mode) ? -EISDIR : -EINVAL;
}

bool upload_is_possible(const char *path)
{
	struct stat st;
	_cleanup_close_ int fd = open_regular(path, &st);

	return fd >= 0;
}

static void tell(struct upload *upload)
{
	Pyenvd__V1__Progress event = PYENVD__V1__PROGRESS__INIT;
	uint64_t now = clock_now_us();

	if (!upload->progress || now - upload->told_us < PROGRESS_US)
		return;
	upload->told_us = now;
	event.source = (char *)upload->path;
	event.phase = upload->phase;
	event.done_bytes = upload->done;
	event.total_bytes = upload->size;
	progress_update(&event, upload->progress);
}

static long read_piece(void *buffer, unsigned long size, void *data)
{
	struct upload *upload = data;
	ssize_t n;

	/* Not what has been appended since: that much was announced. */
	if (size > upload->size - upload->done)
		size = upload->size - upload->done;
	do
		n = read(upload->fd, buffer, size);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		upload->failed = errno;
	else
		upload->done += (uint64_t)n;
	tell(upload);
	return n;
}

static int begin(struct upload *upload, Pyenvd__V1__Phase phase)
{
	upload->phase = phase;
	upload->done = 0;
	return lseek(upload->fd, (off_t)upload->offset, SEEK_SET) < 0 ? -errno : 0;
}

static int compute_digest(struct upload *upload, char ret[SHA256_HEX_SIZE])
{
	_cleanup_(sha256_freep) struct sha256 *sha256 = sha256_new();
	_cleanup_free_ uint8_t *piece = alloc0(1, PIECE_SIZE);
	uint8_t digest[SHA256_SIZE];
	long n;

	while ((n = read_piece(piece, PIECE_SIZE, upload)) > 0)
		sha256_add(sha256, piece, (size_t)n);
	if (n < 0)
		return -upload->failed;
	sha256_end(sha256, digest);
	hex_format(digest, SHA256_SIZE, ret);
	return 0;
}

static enum pyenvd_code send_content(
	struct upload *upload, struct uploaded *ret, struct pyenvd_error *error)
{
	struct pyenvd_reader reader = { .read = read_piece, .data = upload };
	Pyenvd__V1__UploadArtifactResponse *response;
	int r;

	r = begin(upload, PYENVD__V1__PHASE__PHASE_UPLOAD);
	if (r)
		return fail_here(upload, -r, error);
	pyenvd_upload_artifact(
		upload->session->client, ret->sha256, upload->size, &reader, &response, error);
	if (upload->failed)
		return fail_here(upload, upload->failed, error);
	if (error->code)
		return error->code;
	ret->was_there = response->was_there;
	pyenvd_message_free(response);
	return PYENVD_OK;
}

/* The caller closes upload->fd, which is -1 if there is none. */
static enum pyenvd_code find(
	struct upload *upload, struct uploaded *ret, struct pyenvd_error *error)
{
	Pyenvd__V1__FindArtifactResponse *found;
	struct stat st;
	int r;

	*error = (struct pyenvd_error){ 0 };
	upload->fd = open_regular(upload->path, &st);
	if (upload->fd < 0)
		return fail_here(upload, -upload->fd, error);
	*ret = (struct uploaded){ .size = (uint64_t)st.st_size, .was_there = true };
	upload->size = ret->size;
	r = begin(upload, PYENVD__V1__PHASE__PHASE_DIGEST);
	if (r == 0)
		r = compute_digest(upload, ret->sha256);
	if (r)
		return fail_here(upload, -r, error);
	if (pyenvd_find_artifact(upload->session->client, ret->sha256, &found, error) == PYENVD_OK)
		pyenvd_message_free(found);
	return error->code;
}

static void close_file(struct upload *upload)
{
	if (upload->fd >= 0)
		close(upload->fd);
}

enum pyenvd_code upload_find(const struct session *session, const char *path,
	struct progress *progress, struct uploaded *ret, struct pyenvd_error *error)
{
	_cleanup_(close_file) struct upload upload = {
		.session = session, .path = path, .progress = progress, .fd = -1
	};

	return find(&upload, ret, error);
}

enum pyenvd_code upload_file(const struct session *session, const char *path,
	struct progress *progress, struct uploaded *ret, struct pyenvd_error *error)
{
	_cleanup_(close_file) struct upload upload = {
		.session = session, .path = path, .progress = progress, .fd = -1
	};

	find(&upload, ret, error);
	if (!text_equal(error->reason, "ARTIFACT_NOT_FOUND"))
		return error->code;
	*error = (struct pyenvd_error){ 0 };
	return send_content(&upload, ret, error);
}

enum pyenvd_code upload_part(const struct session *session, const char *path, uint64_t offset,
	uint64_t size, const char *sha256, struct progress *progress, struct pyenvd_error *error)
{
	_cleanup_(close_file) struct upload upload = {
		.session = session,
		.path = path,
		.progress = progress,
		.offset = offset,
		.size = size,
	};
	struct uploaded uploaded;
	struct stat st;

	*error = (struct pyenvd_error){ 0 };
	snprintf(uploaded.sha256, sizeof(uploaded.sha256), "%s", sha256);
	upload.fd = open_regular(path, &st);
	if (upload.fd < 0)
		return fail_here(&upload, -upload.fd, error);
	return send_content(&upload, &uploaded, error);
}
