#include "daemon/jobs/orphans.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
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
		if (is_ours(children.pids[i], ours, count) ||
			is_ours(getsid(children.pids[i]), ours, count))
			continue;
		kill(children.pids[i], SIGKILL);
		/* Its own children come next. */
		waitpid(children.pids[i], NULL, WNOHANG);
		are_ended = false;
	}
	return are_ended;
}

bool orphans_have(pid_t pid)
{
	siginfo_t info;

	return waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0;
}

void orphans_reap(const pid_t *ours, size_t count)
{
	siginfo_t info = { 0 };
	int adopts = 0;

	if (prctl(PR_GET_CHILD_SUBREAPER, &adopts, 0, 0, 0) || !adopts)
		return;
	while (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid &&
		!is_ours(info.si_pid, ours, count)) {
		waitpid(info.si_pid, NULL, WNOHANG);
		info.si_pid = 0;
	}
}
