#pragma once
/* One explanation under way: private to explain.c and explain-compare.c. Loop thread only. */
#include "daemon/core/explain.h"
#include "daemon/core/interpreter.h"

struct explains {
	struct core *core;
	struct digests *digests;
	struct probes *probes;
	struct readings *readings;
	struct layers *layers;
	struct artifacts *artifacts;
	struct list list; /* of explain_work.link */
};

struct explain_work {
	struct list link; /* explains.list */
	struct explains *explains;
	struct explain *explain;
	struct input *inputs; /* archives, then files */
	size_t input_count, waiting;
	struct uploaded *uploaded; /* a reference; of requirements that were uploaded, or NULL */
	struct reading reading; /* of requirements, if there are any */
	struct reading_work *reading_work; /* borrowed; while it is waited for */
	struct creation_waiter reading_waiter;
	struct interpreter interpreter;
};

/* Of the archive that the interpreter is in; NULL: it is in none. */
const struct input *explain_work_interpreter_input(const struct explain_work *work);

/* ---- explain-compare.c */

/* With all that could be found out: fills the result. */
int explain_work_compare(struct explain_work *work, struct error *err);
