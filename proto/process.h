#pragma once
/* A process, told apart from a later one with the same pid by when it started. */
#include <stdint.h>
#include <sys/types.h>

struct process {
	pid_t pid;
	uint64_t start; /* field 22 of /proc/<pid>/stat, in clock ticks since boot */
};
