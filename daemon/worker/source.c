/*
 * First O_PATH, which opens nothing: then what it is, and only if it is a regular file
 * (or a directory where one may be) is it opened for reading, through /proc/self/fd, so
 * that it is the very file that was looked at, and as the client, so that the client's
 * right to read it is asked for and not ours.
 */
#include "daemon/worker/source.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static int fail_open(const char *path, int r, struct error *err)
{
	switch (r) {
	case -ENOENT:
	case -ENOTDIR:
		return fail(err, -ENOENT, "SOURCE_NOT_FOUND", "'%s' is not there", path);
	case -EACCES:
	case -EPERM:
		return fail(err, -EACCES, "SOURCE_UNREADABLE", "'%s' may not be read by you", path);
	case -ELOOP:
		return fail(err, -ENOENT, "SOURCE_NOT_FOUND",
			"'%s' leads in a circle of symbolic links", path);
	case -ENAMETOOLONG:
		return fail(
			err, -EINVAL, "REQUEST_INVALID", "'%s' has a name that is too long", path);
	default:
		return fail_errno(err, r, "INTERNAL_ERROR", "cannot open '%s'", path);
	}
}

static const char *describe(mode_t mode)
{
	switch (mode & S_IFMT) {
	case S_IFDIR:
		return "a directory";
	case S_IFIFO:
		return "a fifo";
	case S_IFSOCK:
		return "a socket";
	case S_IFCHR:
	case S_IFBLK:
		return "a device";
	default:
		return "something else";
	}
}

static int reopen(int path_fd, bool is_directory)
{
	char link[48];
	int fd;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", path_fd);
	fd = open(
		link, O_RDONLY | O_CLOEXEC | O_NOCTTY | (is_directory ? O_DIRECTORY : O_NONBLOCK));
	return fd < 0 ? -errno : fd;
}

static int open_as_peer(struct source *source, bool may_be_directory, struct error *err)
{
	_cleanup_close_ int path_fd = open(source->path, O_PATH | O_CLOEXEC);
	struct stat st;

	if (path_fd < 0)
		return fail_open(source->path, -errno, err);
	if (fstat(path_fd, &st))
		return fail_open(source->path, -errno, err);
	source->is_directory = S_ISDIR(st.st_mode);
	if (!S_ISREG(st.st_mode) && !(may_be_directory && source->is_directory))
		return fail(err, -EINVAL, "SOURCE_NOT_A_FILE", "'%s' is %s, not a regular file",
			source->path, describe(st.st_mode));
	source->fd = reopen(path_fd, source->is_directory);
	return source->fd < 0 ? fail_open(source->path, source->fd, err) : 0;
}

static int changed(const struct source *source, struct error *err)
{
	return fail(err, -ESTALE, "SOURCE_CHANGED", "'%s' changed while it was being read",
		source->path);
}

int source_open(struct source *source, const char *path, const struct identity *peer,
	const struct fs_identity *expected, bool may_be_directory, struct error *err)
{
	enum fs_type type;
	int r;

	*source = (struct source){ .path = path, .fd = -1 };
	if (*path != '/')
		return fail(err, -EINVAL, "REQUEST_INVALID", "'%s' is not absolute", path);
	r = identity_assume(peer, err);
	if (r)
		return r;
	r = open_as_peer(source, may_be_directory, err);
	identity_resume();
	if (r)
		return r;
	r = fs_identify(source->fd, "", &source->identity, &type);
	if (r)
		return fail_open(path, r, err);
	if (expected && expected->ino && !fs_identity_equal(expected, &source->identity))
		return fail(err, -ESTALE, "SOURCE_CHANGED",
			"'%s' is another file by now, or was changed", path);
	return 0;
}

int source_adopt(struct source *source, int fd, const char *path, struct error *err)
{
	enum fs_type type;
	int r;

	*source = (struct source){ .path = path, .fd = fd, .is_private = true };
	r = fs_identify(fd, "", &source->identity, &type);
	return r ? fail_open(path, r, err) : 0;
}

int source_check(const struct source *source, struct error *err)
{
	struct fs_identity now;
	enum fs_type type;
	int r;

	if (source->is_private)
		return 0;
	r = fs_identify(source->fd, "", &now, &type);
	if (r)
		return fail_errno(err, r, NULL, "cannot look at '%s' again", source->path);
	return fs_identity_equal(&now, &source->identity) ? 0 : changed(source, err);
}

int source_map(struct source *source, struct error *err)
{
	void *data;

	source->size = source->identity.size;
	data = mmap(NULL, source->size, PROT_READ, MAP_SHARED, source->fd, 0);
	if (data == MAP_FAILED)
		return fail_errno(err, -errno, NULL, "cannot map '%s'", source->path);
	madvise(data, source->size, MADV_WILLNEED);
	source->data = data;
	return 0;
}

static int fail_copy(const struct source *source, int r, struct error *err)
{
	if (r == -ENODATA)
		return changed(source, err);
	return fail_errno(err, r, r == -ENOSPC || r == -EDQUOT ? "NO_SPACE" : NULL,
		"cannot make a private copy of '%s'", source->path);
}

static int check_room(const struct source *source, int to, uint64_t reserve, struct error *err)
{
	uint64_t room;

	if (fs_get_room(to, &room) || (room >= reserve && room - reserve >= source->identity.size))
		return 0;
	return fail(err, -ENOSPC, "NO_SPACE",
		"'%s': the disk has %llu bytes left, and a private copy takes %llu beside a "
		"reserve "
		"of %llu",
		source->path, (unsigned long long)room, (unsigned long long)source->identity.size,
		(unsigned long long)reserve);
}

int source_fill(const struct source *source, int to, uint64_t reserve, struct error *err)
{
	int r;

	if (fs_clone(source->fd, to)) {
		r = check_room(source, to, reserve, err);
		if (r)
			return r;
		r = fs_copy(source->fd, to, source->identity.size);
		if (r)
			return fail_copy(source, r, err);
	}
	return source_check(source, err);
}

int source_copy_to(struct source *source, int to, uint64_t reserve, struct error *err)
{
	int r = source_fill(source, to, reserve, err);

	if (r)
		return r;
	close(source->fd);
	source->fd = to;
	source->is_private = true;
	return 0;
}

int source_copy(struct source *source, int directory_fd, uint64_t reserve, struct error *err)
{
	int to = openat(directory_fd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	int r;

	if (to < 0)
		return fail_copy(source, -errno, err);
	r = source_copy_to(source, to, reserve, err);
	if (r)
		close(to);
	return r;
}

void source_close(struct source *source)
{
	if (source->data)
		munmap((void *)source->data, source->size);
	cleanup_close(&source->fd);
	*source = (struct source)SOURCE_INIT;
}
