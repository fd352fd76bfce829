#pragma once
/*
 * The Python that compiles: never a program that came with an archive, or that anybody
 * but root and ourselves could have put where it is.
 */
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include "base/error.h"

struct interpreter {
	char path[PATH_MAX]; /* of the program itself, through no link */
	char tag[64]; /* cpython-311 */
	uint8_t magic[4];
};

/* Follows @link to the program at its end and asks it who it is. @directory is the
 * layer's: neither this layer nor anything near it is trusted. The error says why not,
 * and is no failure of the job. */
int interpreter_find(
	const char *link, const char *directory, struct interpreter *ret, struct error *err);

struct interpreter_run {
	const char *program; /* of Python */
	int in, out; /* its standard input and output */
	int keep_fd; /* stays open in it; -1: none */
};

/* Starts it isolated: no site-packages, no environment, no user's directory; bounded in
 * memory and time; and it can write no file. It dies with the calling thread. */
int interpreter_start(
	const struct interpreter *interpreter, const struct interpreter_run *run, pid_t *ret);
/* Waits for its end, or ends it at @until_us. Whether it ended well. */
bool interpreter_end(pid_t pid, uint64_t until_us);
