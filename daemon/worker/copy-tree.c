/*
 * One thread: it acts as somebody else, and that is a matter of the thread (identity.h).
 * Layers are not deeper than their limit, but that is configured; so there is one here.
 */
#include "daemon/worker/copy-tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/fs.h"

#define MAX_DEPTH 1024

static int copy_file(int from_dir, int to_dir, const char *name, const struct stat *st)
{
	_cleanup_close_ int from = openat(from_dir, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	_cleanup_close_ int to = -1;
	struct timespec times[2] = { { 0, UTIME_OMIT }, st->st_mtim };
	int r = 0;

	if (from < 0)
		return -errno;
	to = openat(to_dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
		(st->st_mode & 0111) ? 0755 : 0644);
	if (to < 0)
		return -errno;
	if (st->st_size && fs_clone(from, to))
		r = fs_copy(from, to, (uint64_t)st->st_size);
	if (r == 0 && futimens(to, times))
		r = -errno;
	return r;
}

static int copy_link(int from_dir, int to_dir, const char *name, const struct stat *st)
{
	struct timespec times[2] = { { 0, UTIME_OMIT }, st->st_mtim };
	_cleanup_free_ char *target = alloc0(1, PATH_MAX);

	if (readlinkat(from_dir, name, target, PATH_MAX - 1) < 0)
		return -errno;
	if (symlinkat(target, to_dir, name) || utimensat(to_dir, name, times, AT_SYMLINK_NOFOLLOW))
		return -errno;
	return 0;
}

static int copy_directory(int from, int to, int depth);

static int copy_below(int from_dir, int to_dir, const char *name, const struct stat *st, int depth)
{
	struct timespec times[2] = { { 0, UTIME_OMIT }, st->st_mtim };
	_cleanup_close_ int from = fs_open_directory(from_dir, name);
	_cleanup_close_ int to = -1;
	int r;

	if (from < 0)
		return from;
	if (mkdirat(to_dir, name, 0755))
		return -errno;
	to = fs_open_directory(to_dir, name);
	if (to < 0)
		return to;
	r = copy_directory(from, to, depth + 1);
	if (r == 0 && futimens(to, times))
		r = -errno;
	return r;
}

static int copy_entry(int from_dir, int to_dir, const char *name, int depth)
{
	struct stat st;

	if (fstatat(from_dir, name, &st, AT_SYMLINK_NOFOLLOW))
		return -errno;
	if (S_ISLNK(st.st_mode))
		return copy_link(from_dir, to_dir, name, &st);
	if (S_ISDIR(st.st_mode))
		return copy_below(from_dir, to_dir, name, &st, depth);
	return copy_file(from_dir, to_dir, name, &st);
}

static int copy_directory(int from, int to, int depth)
{
	int copy = openat(from, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), r = 0;
	DIR *stream = copy < 0 ? NULL : fdopendir(copy);
	struct dirent *entry;

	if (!stream)
		return -errno;
	if (depth > MAX_DEPTH)
		r = -ELOOP;
	while (r == 0 && (errno = 0, entry = readdir(stream)))
		if (!text_equal(entry->d_name, ".") && !text_equal(entry->d_name, ".."))
			r = copy_entry(from, to, entry->d_name, depth);
	r = r ? r : -errno;
	closedir(stream);
	return r;
}

int copy_tree(int from, int to, const struct identity *owner, struct error *err)
{
	int r;

	r = identity_assume(owner, err);
	if (r)
		return r;
	r = copy_directory(from, to, 0);
	identity_resume();
	if (r)
		return fail_errno(err, r,
			r == -ENOSPC || r == -EDQUOT ? "NO_SPACE" : "INTERNAL_ERROR",
			"cannot make a private copy of an archive");
	return 0;
}
