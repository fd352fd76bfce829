#include "daemon/jobs/orphans.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include "base/children.h"

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

bool orphans_end(const pid_t *ours, size_t count)
{
	_cleanup_children_ struct children children = { 0 };
	bool are_ended = true;
	size_t i;

	children_list(&children);
	for (i = 0; i < children.count; i++) {
		if (is_ours(children.pids[i], ours, count))
			continue;
		kill(children.pids[i], SIGKILL);
		/* Its own children come next. */
		waitpid(children.pids[i], NULL, WNOHANG);
		are_ended = false;
	}
	return are_ended;
}
