#pragma once
/*
 * Asking a Python who it is, as the client that wants to use it.
 */
#include <stdbool.h>
#include "base/identity.h"

struct probe {
	const char *path; /* absolute */
	/* Of one that came in an archive: what PYTHONHOME would be, if it needs one to
	 * start. NULL: it has to start without. */
	const char *home;
	const struct identity *peer;
	int stop_fd; /* as program.h has it */

	/* found; UTF-8 */
	char implementation[32]; /* "cpython" */
	char version[32]; /* "3.11.2" */
	char abi[96]; /* "cpython-311-x86_64-linux-gnu" */
	char platform[96]; /* "linux-x86_64" */
	char pip[32]; /* the version; empty: it has none */
	bool needs_home; /* it started with PYTHONHOME only */
};

/* INTERPRETER_UNUSABLE, in words that say how it ended. */
int probe_run(struct probe *probe, struct error *err);
