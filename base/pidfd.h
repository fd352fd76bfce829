#pragma once
/* Descriptors of processes, each of which means one process and no later one with its number.
 * Any thread. */
#include <stdbool.h>
#include <sys/types.h>

/* Close-on-exec, owned by the caller. -ESRCH: there is no such process (a thread is none); or
 * another negative errno. */
int pidfd_of(pid_t pid);
/* Also when it is negative. A child has ended before it is waited for. */
bool pidfd_has_ended(int pidfd);
