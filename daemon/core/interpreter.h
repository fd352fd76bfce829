#pragma once
/*
 * Which Python executable a request means, whether its peer can execute it, and who it
 * is.
 * Loop thread only.
 */
#include "daemon/core/locate.h"
#include "daemon/core/probes.h"
#include "proto/spec-python.h"

struct interpreter {
	/* Once, when it took longer than interpreter_find(). */
	void (*done)(struct interpreter *interpreter, const struct error *err);

	char *path; /* owned; absolute; NULL: none was asked for */
	char *home; /* owned; what PYTHONHOME has to be; NULL: nothing */
	struct job_python python; /* who it is, if there is one */
	const struct spec_archive *archive; /* borrowed; the one it is in; NULL: on the host */
	bool has_waited;

	struct locate locate;
	/* private to interpreter.c */
	const struct spec *spec;
	struct spec_python where;
	struct probes *probes;
	struct probing *probing; /* borrowed; while waiting */
	struct creation_waiter waiter;
};

enum {
	INTERPRETER_E_LATER = 1,
};

void interpreter_deinit(struct interpreter *interpreter);
/* Before anything else: it was found earlier, and is not looked for again. */
void interpreter_know(struct interpreter *interpreter, const char *path, const char *home);
/* First: sees whether it is in an archive, or on the host: then interpreter->locate may
 * be looked at (locate_look()). */
int interpreter_prepare(struct interpreter *interpreter, const struct spec *spec,
	const struct peer *peer, struct error *err);
/* 0: ->path is there; INTERPRETER_E_LATER. @layer: the directory of the layer of
 * ->archive, when it is in one. */
int interpreter_find(struct interpreter *interpreter, struct core *core, struct probes *probes,
	const char *layer, struct error *err);
