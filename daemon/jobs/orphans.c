#include "daemon/jobs/orphans.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include "base/fs.h"

#define MAX_LIST (1 << 20)

void orphans_adopt(void)
{
	/* Without it orphans go to init, as they would have without us. */
	prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
}

static bool is_ours(pid_t pid, const pid_t *ours, size_t count)
{
	size_t i;

	for (i = 0; i < count; i++)
		if (ours[i] == pid)
			return true;
	return false;
}

/* The daemon has one thread: these are all its children. */
bool orphans_end(const pid_t *ours, size_t count)
{
	_cleanup_free_ char *path = text_format("/proc/self/task/%d/children", (int)getpid());
	_cleanup_buffer_ struct buffer children = { 0 };
	bool are_ended = true;
	char *at, *end;

	if (fs_read_file(AT_FDCWD, path, MAX_LIST, &children))
		return true;
	buffer_append(&children, "", 1);
	for (at = (char *)children.data; *at; at = end) {
		pid_t pid = (pid_t)strtol(at, &end, 10);

		if (end == at)
			break;
		if (is_ours(pid, ours, count))
			continue;
		kill(pid, SIGKILL);
		/* Its own children come next. */
		waitpid(pid, NULL, WNOHANG);
		are_ended = false;
	}
	return are_ended;
}
