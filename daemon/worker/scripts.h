#pragma once
/*
 * The scripts in the bin of a tree's virtualenvs, made to start the interpreter that lies
 * beside them, wherever the virtualenv was made.
 */
#include "daemon/worker/place.h"

struct scripts {
	struct place *place;
	const char *directory; /* absolute path of the layer; the tree is in it, for good */
	int tree_fd;
	/* what came of it */
	uint64_t rewritten;
};

/* After the archive's files and links, before bytecode. */
int scripts_finish(struct scripts *scripts, struct error *err);
