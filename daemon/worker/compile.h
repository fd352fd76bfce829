#pragma once
/* Python files to bytecode, by several interpreters side by side. */
#include "daemon/worker/interpreter.h"
#include "daemon/worker/place.h"
#include "daemon/worker/report.h"

struct compile_file {
	const char *name; /* of the source, in the tree; borrowed */
	struct place_entry *entry; /* of the bytecode, to be written */
	int64_t mtime; /* of the source, and its size */
	uint64_t size;
	bool is_made; /* out */
};

struct compile {
	const struct interpreter *interpreter;
	struct place *place;
	struct report *report;
	const char *tree; /* absolute path of the tree: files say that they are there */
	struct compile_file *files;
	size_t count;
	uint32_t threads;
	int keep_fd; /* the interpreters keep it open as well; -1: none */
	uint64_t until_us;
	bool is_cut_short; /* out: some were not tried */
};

/* What is no Python is passed over. Fails when the tree cannot be written. */
int compile_run(struct compile *compile, struct error *err);
