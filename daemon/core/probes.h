#pragma once
/*
 * Who the Pythons are that clients name: those that are known, and the asking of others
 * (single flight). Kept in memory, a bounded number. Loop thread only.
 */
#include "daemon/core/core.h"
#include "daemon/core/creation.h"

struct probes;

struct probes *probes_new(struct core *core);
struct probes *probes_free(struct probes *probes); /* nothing is being asked */

/* A Python executable, as a peer found it. Borrowed during a call. */
struct probes_subject {
	const char *path;
	const char *home; /* PYTHONHOME to try when it does not start without; or NULL */
	const struct fs_identity *file; /* what path leads to */
	const struct peer *peer;
};

/* NULL: not known. Borrowed until the loop is entered again. */
const struct job_python *probes_find(struct probes *probes, const struct probes_subject *subject);

/* One being asked. */
struct probing;

/* Joins the asking of this one, or begins it. */
struct probing *probes_ask(struct probes *probes, const struct probes_subject *subject);
struct creation *probing_creation(struct probing *probing);
/* Once its waiters are told that it went well. */
const struct job_python *probing_python(const struct probing *probing);
