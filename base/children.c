/*
 * /proc lists the children of each thread, and an orphan is given to any of them.
 */
#include "base/children.h"

#include <dirent.h>
#include "base/fs.h"

#define MAX_LIST (1 << 20)

static void add(struct children *children, pid_t pid)
{
	children->pids = grow_array(children->pids, children->count, sizeof(*children->pids));
	children->pids[children->count++] = pid;
}

static void add_all(struct children *children, const char *list)
{
	char *end;

	for (;; list = end) {
		pid_t pid = (pid_t)strtol(list, &end, 10);

		if (end == list)
			return;
		add(children, pid);
	}
}

void children_list(struct children *ret)
{
	DIR *tasks = opendir("/proc/self/task");
	struct dirent *task;

	*ret = (struct children){ 0 };
	while (tasks && (task = readdir(tasks))) {
		_cleanup_free_ char *path = text_format("%s/children", task->d_name);
		_cleanup_buffer_ struct buffer list = { 0 };

		/* A thread may have ended. */
		if (*task->d_name == '.' || fs_read_file(dirfd(tasks), path, MAX_LIST, &list))
			continue;
		buffer_append(&list, "", 1);
		add_all(ret, (const char *)list.data);
	}
	if (tasks)
		closedir(tasks);
}

void children_deinit(struct children *children)
{
	free(children->pids);
	*children = (struct children){ 0 };
}
