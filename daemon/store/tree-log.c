/*
 * Logs are bounded in number here and in size by who writes them. They are kept after a
 * layer is gone: most of all one is wanted that tells why there is no layer. A log's name is
 * a layer's id; ids are random, so the oldest is found by its time.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/fs.h"
#include "daemon/store/tree-internal.h"
#include "daemon/store/tree.h"

#define MAX_LOGS 100

/* The number of logs, and the oldest of them (owned). */
static size_t find_oldest(int logs, char **ret)
{
	int fd = openat(logs, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *directory = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;
	size_t count = 0;
	time_t oldest = 0;
	struct stat st;

	if (fd >= 0 && !directory)
		close(fd);
	while (directory && (entry = readdir(directory))) {
		if (*entry->d_name == '.' || fstatat(logs, entry->d_name, &st, AT_SYMLINK_NOFOLLOW))
			continue;
		if (count++ == 0 || st.st_mtime < oldest) {
			free(*ret);
			*ret = text_copy(entry->d_name);
			oldest = st.st_mtime;
		}
	}
	if (directory)
		closedir(directory);
	return count;
}

static void drop_old(int logs)
{
	_cleanup_free_ char *oldest = NULL;

	if (find_oldest(logs, &oldest) >= MAX_LOGS)
		unlinkat(logs, oldest, 0);
}

int tree_make_log(struct tree *tree, const char *id, const struct identity *reader, int *ret_fd,
	char **ret_path, struct error *err)
{
	int fd;

	drop_old(tree->logs);
	fd = openat(tree->logs, id, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0400);
	if (fd < 0)
		return tree_fail_to_make(err, -errno, "log", id);
	if (identity_may_change() && fchown(fd, reader->uid, reader->gid)) {
		int r = -errno;

		close(fd);
		unlinkat(tree->logs, id, 0);
		return tree_fail_to_make(err, r, "log", id);
	}
	*ret_fd = fd;
	*ret_path = text_format("%s/logs/%s", tree->path, id);
	return 0;
}
