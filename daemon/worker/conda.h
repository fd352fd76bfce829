#pragma once
/*
 * What bin/conda-unpack would do to an environment that conda-pack made, done without
 * running it: it is a program out of the archive.
 */
#include "daemon/worker/place.h"

struct conda {
	struct place *place;
	const char *directory; /* absolute path of the layer; the tree is in it, for good */
	int tree_fd;
	/* what came of it */
	uint64_t rewritten;
	char note[256]; /* what was left, and why; may be empty */
};

/* After the archive's files and links, before bytecode. */
int conda_finish(struct conda *conda, struct error *err);
