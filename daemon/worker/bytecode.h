#pragma once
/*
 * Bytecode for the Python files of a tree, made before the tree becomes read-only:
 * nobody can write __pycache__ later.
 */
#include "daemon/worker/place.h"
#include "daemon/worker/report.h"

enum bytecode_mode {
	BYTECODE_VIRTUALENVS,
	BYTECODE_ALWAYS,
	BYTECODE_NEVER,
};

struct bytecode {
	struct place *place;
	struct report *report;
	const char *directory; /* absolute path of the layer; the tree is in it */
	int tree_fd;
	enum bytecode_mode mode;
	uint32_t threads;
	int keep_fd; /* interpreters keep it open as well; -1: none */
	/* what came of it */
	uint64_t compiled;
	char note[256]; /* why there is none; may be empty */
};

/* That there is no bytecode is no failure; that the disk is full is one. */
int bytecode_make(struct bytecode *bytecode, struct error *err);
