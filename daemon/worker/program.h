#pragma once
/*
 * Programs that are not ours, run to their end: interpreters of clients and installers.
 * One at a time, from the thread that has the job. The worker is a subreaper from the
 * first one on: whatever a program starts, however far it runs, becomes ours.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/identity.h"

struct program {
	const char *const *argv; /* the first: absolute path */
	const char *const *environment;
	const char *directory; /* to start in */
	const struct identity *as; /* NULL: as we are */
	/* Nobody else is ever that user: everything of this uid ends with the program. */
	bool owns_uid;
	bool is_offline; /* no sockets but local ones */
	/* It, and what it starts, can write below this directory alone, and we elsewhere, too.
	 * 0: wherever we can. */
	int writes_fd;
	uint64_t max_file_bytes; /* that it may write; 0: no limit */
	uint64_t until_us; /* of clock_now_us() */
	int stop_fd; /* readable: the daemon is gone; all is ended, and so are we. -1: none */
	/* What it prints, errors included, as it comes. May be NULL. */
	void (*output)(void *data, const uint8_t *bytes, size_t size);
	/* Now and then. A failure ends the program. May be NULL. */
	int (*tick)(void *data, struct error *err);
	void *data;
};

enum {
	PROGRAM_E_TIME = 1, /* it was ended at until_us */
};

/* 0: it ended by itself, in *status as waitpid() has it. In any case nothing that it
 * started lives any more, or else the failure says so. An @err of -ENOEXEC, -ENOENT,
 * -EACCES: it could not be started. */
int program_run(const struct program *program, int *status, struct error *err);
/* Ends everything that runs as this user, who is nobody's but ours. */
int program_end_user(const struct identity *identity, struct error *err);
/* "exit code 3", "signal 9 (Killed)". */
void program_explain(int status, char *ret, size_t size);
