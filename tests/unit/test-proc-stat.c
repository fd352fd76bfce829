#include "base/proc-stat.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

Test(proc_stat, a_name_with_brackets_and_spaces_is_passed_over)
{
	struct proc_stat stat;

	cr_assert_eq(proc_stat_parse("7 (a ) R 1 2 3) S 1 42 43 0 -1 4194304 1 0 0 0 0 0 0 0 20 0 "
				     "1 0 18446744073709551615 9 9 9\n",
			     &stat),
		0);
	cr_expect_eq(stat.group, 42);
	cr_expect_eq(stat.start, UINT64_MAX);
}

Test(proc_stat, what_is_cut_off_is_no_answer)
{
	struct proc_stat stat;

	cr_expect_eq(proc_stat_parse("", &stat), -EBADMSG);
	cr_expect_eq(proc_stat_parse("7 (a", &stat), -EBADMSG);
	cr_expect_eq(proc_stat_parse("7 (a) S 1 42 43 0 -1 4194304 1 0 0 0", &stat), -EBADMSG);
}

Test(proc_stat, a_process_is_told_from_another)
{
	struct proc_stat ours, others;
	pid_t pid = fork();

	if (pid == 0) {
		setsid();
		for (;;)
			pause();
	}
	cr_assert_eq(proc_stat_read(getpid(), &ours), 0);
	cr_expect_eq(ours.group, getpgrp());
	cr_expect_gt(ours.start, 0);
	cr_assert_eq(proc_stat_read(pid, &others), 0);
	cr_expect_geq(others.start, ours.start);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	cr_expect_eq(proc_stat_read(pid, &others), -ENOENT);
}
