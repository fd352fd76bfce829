#pragma once
/* A child that does nothing, until it is killed; it does not outlive the test. */
#include <criterion/criterion.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include "base/proc-stat.h"
#include "proto/process.h"

static inline struct process idler_start(void)
{
	struct proc_stat stat;
	pid_t pid = fork();

	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;)
			pause();
	}
	cr_assert_eq(proc_stat_read(pid, &stat), 0);
	return (struct process){ pid, stat.start };
}

static inline void idler_kill(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}
