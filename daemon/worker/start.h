#pragma once
/*
 * Starts a program that outlives us, as somebody else. It forks: one at a time.
 */
#include <stdint.h>
#include <sys/types.h>
#include "base/error.h"
#include "base/identity.h"

struct start {
	const struct identity *as;
	int gate_fd; /* a pipe, through which comes what is to be executed (launch.h) */
	/* There is a process, which is @as and waits at the gate. */
	void (*started)(void *data, pid_t pid, uint64_t start);
	void *data;
};

/* 0: it was executed. Else no process is left, as soon as the gate is closed. */
int start_run(const struct start *start, struct error *err);
