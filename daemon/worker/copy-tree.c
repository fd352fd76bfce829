#include "daemon/worker/copy-tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/fs.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/fs.h"

static int copy_bytes(int from, int to)
{
	uint8_t buffer[65536];
	ssize_t n;
	int r;

	if (ioctl(to, FICLONE, from) == 0)
		return 0;
	while ((n = copy_file_range(from, NULL, to, NULL, 1 << 30, 0)) > 0)
		;
	if (n == 0)
		return 0;
	if (errno != EXDEV && errno != EOPNOTSUPP && errno != EINVAL && errno != ENOSYS)
		return -errno;
	while ((n = read(from, buffer, sizeof(buffer))) > 0) {
		r = fs_write_all(to, buffer, (size_t)n);
		if (r)
			return r;
	}
	return n < 0 ? -errno : 0;
}

static int copy_file(int from_dir, int to_dir, const char *name, const struct stat *st)
{
	_cleanup_close_ int from = openat(from_dir, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	_cleanup_close_ int to = openat(to_dir, name,
		O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
		(st->st_mode & 0111) ? 0755 : 0644);
	struct timespec times[2] = { { 0, UTIME_OMIT }, st->st_mtim };
	int r;

	if (from < 0 || to < 0)
		return -errno;
	r = copy_bytes(from, to);
	return r ? r : futimens(to, times) ? -errno : 0;
}

static int copy_link(int from_dir, int to_dir, const char *name, const struct stat *st)
{
	struct timespec times[2] = { { 0, UTIME_OMIT }, st->st_mtim };
	char target[PATH_MAX];
	ssize_t n = readlinkat(from_dir, name, target, sizeof(target) - 1);

	if (n < 0)
		return -errno;
	target[n] = 0;
	if (symlinkat(target, to_dir, name) || utimensat(to_dir, name, times, AT_SYMLINK_NOFOLLOW))
		return -errno;
	return 0;
}

static int copy_directory(int from, int to);

static int copy_entry(int from_dir, int to_dir, const char *name)
{
	_cleanup_close_ int from = -1;
	_cleanup_close_ int to = -1;
	struct stat st;
	int r;

	if (fstatat(from_dir, name, &st, AT_SYMLINK_NOFOLLOW))
		return -errno;
	if (S_ISLNK(st.st_mode))
		return copy_link(from_dir, to_dir, name, &st);
	if (!S_ISDIR(st.st_mode))
		return copy_file(from_dir, to_dir, name, &st);
	if (mkdirat(to_dir, name, 0755))
		return -errno;
	from = fs_open_directory(from_dir, name);
	to = fs_open_directory(to_dir, name);
	if (from < 0 || to < 0)
		return from < 0 ? from : to;
	r = copy_directory(from, to);
	if (r == 0) {
		struct timespec times[2] = { { 0, UTIME_OMIT }, st.st_mtim };

		r = futimens(to, times) ? -errno : 0;
	}
	return r;
}

static int copy_directory(int from, int to)
{
	int copy = openat(from, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), r = 0;
	DIR *stream = copy < 0 ? NULL : fdopendir(copy);
	struct dirent *entry;

	if (!stream)
		return -errno;
	while (r == 0 && (errno = 0, entry = readdir(stream)))
		if (!text_equal(entry->d_name, ".") && !text_equal(entry->d_name, ".."))
			r = copy_entry(from, to, entry->d_name);
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
	r = copy_directory(from, to);
	identity_resume();
	if (r)
		return fail_errno(err, r,
			r == -ENOSPC || r == -EDQUOT ? "NO_SPACE" : "INTERNAL_ERROR",
			"cannot make a private copy of an archive");
	return 0;
}
