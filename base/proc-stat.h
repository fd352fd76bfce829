#pragma once
/* What /proc/<pid>/stat says of a process. Any thread. */
#include <stdint.h>
#include <sys/types.h>

struct proc_stat {
	pid_t group; /* its process group's id (field 5) */
	uint64_t start; /* when it began (field 22), in clock ticks since boot */
};

/* -ENOENT or -ESRCH: there is no such process. -EBADMSG: not as expected. */
int proc_stat_read(pid_t pid, struct proc_stat *ret);
/* The same of its content, which ends with a zero. */
int proc_stat_parse(const char *text, struct proc_stat *ret);
