#include "daemon/worker/walk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_DEPTH 128

struct walking {
	const struct source *directory;
	const struct identity *peer;
	int (*visit)(const struct walk_entry *entry, void *data, struct error *err);
	void *data;
};

static int fail_at(const struct walking *walking, const char *name, int r, struct error *err)
{
	if (r == -EACCES || r == -EPERM)
		return fail(err, -EACCES, "SOURCE_UNREADABLE", "'%s/%s' may not be read by you",
			walking->directory->path, name);
	if (r == -ENOENT)
		return fail(err, -ESTALE, "SOURCE_CHANGED",
			"'%s/%s' went away while the directory was being read",
			walking->directory->path, name);
	return fail_errno(
		err, r, "INTERNAL_ERROR", "cannot read '%s/%s'", walking->directory->path, name);
}

static int not_dots(const struct dirent *entry)
{
	return !text_equal(entry->d_name, ".") && !text_equal(entry->d_name, "..");
}

static int by_bytes(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

/* As the peer. *fd stays -1 for what is not opened. */
static int open_entry(int dir, const char *name, struct stat *st, char target[PATH_MAX], int *fd)
{
	ssize_t n;

	if (fstatat(dir, name, st, AT_SYMLINK_NOFOLLOW))
		return -errno;
	if (S_ISLNK(st->st_mode)) {
		n = readlinkat(dir, name, target, PATH_MAX - 1);
		target[n < 0 ? 0 : n] = 0;
		return n < 0 ? -errno : 0;
	}
	if (!S_ISREG(st->st_mode) && !S_ISDIR(st->st_mode))
		return 0;
	*fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	return *fd < 0 || fstat(*fd, st) ? -errno : 0;
}

static int walk_directory(
	const struct walking *walking, int dir, const char *prefix, int depth, struct error *err);

static int walk_entry(const struct walking *walking, int dir, const char *name, const char *path,
	int depth, struct error *err)
{
	struct walk_entry entry = { .name = path, .fd = -1 };
	_cleanup_close_ int fd = -1;
	char target[PATH_MAX] = "";
	struct stat st = { 0 };
	int r;

	r = identity_assume(walking->peer, err);
	if (r)
		return r;
	r = open_entry(dir, name, &st, target, &fd);
	identity_resume();
	if (r)
		return fail_at(walking, path, r, err);
	entry.fd = fd;
	entry.mtime = st.st_mtim.tv_sec;
	entry.is_executable = st.st_mode & 0111;
	entry.size = (uint64_t)st.st_size;
	entry.target = target;
	if (S_ISREG(st.st_mode))
		entry.type = PLACE_FILE;
	else if (S_ISDIR(st.st_mode))
		entry.type = PLACE_DIRECTORY;
	else if (S_ISLNK(st.st_mode))
		entry.type = PLACE_SYMLINK;
	else
		return fail(err, -EINVAL, "ENTRY_FORBIDDEN", "'%s/%s' is a device, fifo or socket",
			walking->directory->path, path);
	r = walking->visit(&entry, walking->data, err);
	if (r || entry.type != PLACE_DIRECTORY)
		return r;
	return walk_directory(walking, fd, path, depth + 1, err);
}

static int list(
	const struct walking *walking, int dir, struct dirent ***ret, int *count, struct error *err)
{
	int r;

	r = identity_assume(walking->peer, err);
	if (r)
		return r;
	*count = scandirat(dir, ".", ret, not_dots, by_bytes);
	r = *count < 0 ? -errno : 0;
	identity_resume();
	return r;
}

static int walk_directory(
	const struct walking *walking, int dir, const char *prefix, int depth, struct error *err)
{
	struct dirent **entries = NULL;
	int i, count = 0, r;

	if (depth > MAX_DEPTH)
		return fail(err, -EFBIG, "LIMIT_EXCEEDED", "'%s' is more than %d directories deep",
			walking->directory->path, MAX_DEPTH);
	r = list(walking, dir, &entries, &count, err);
	if (r)
		return fail_at(walking, prefix, r, err);
	for (i = 0; i < count; i++) {
		_cleanup_free_ char *path = *prefix
			? text_format("%s/%s", prefix, entries[i]->d_name)
			: text_copy(entries[i]->d_name);

		if (r == 0)
			r = walk_entry(walking, dir, entries[i]->d_name, path, depth, err);
		free(entries[i]);
	}
	free(entries);
	return r;
}

int walk(const struct source *directory, const struct identity *peer,
	int (*visit)(const struct walk_entry *entry, void *data, struct error *err), void *data,
	struct error *err)
{
	struct walking walking = { directory, peer, visit, data };

	return walk_directory(&walking, directory->fd, "", 0, err);
}
