#pragma once
/*
 * Ends processes that are somebody else's, as that somebody, with what they have started.
 * It forks, and waits: one at a time.
 */
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include "base/error.h"
#include "base/identity.h"

struct end_process {
	pid_t pid;
	uint64_t start; /* field 22 of its /proc/<pid>/stat */
};

struct end {
	const struct identity *as; /* who may signal them */
	const struct end_process *processes;
	size_t count;
	uint32_t grace_ms; /* from SIGTERM to SIGKILL */
};

/* 0: none of them lives any more. Those that were gone before, whoever has their pids now,
 * are left alone. */
int end_run(const struct end *end, struct error *err);
