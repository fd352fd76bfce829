#pragma once
/* A layer's directory and what is placed in its tree, as an extraction does it: for unit tests
 * of what comes after that. What fails ends the test. */
#include "daemon/worker/place.h"

#define EXTRACTED_MTIME 1700000001

struct extracted {
	char *scratch; /* owned; of this test alone */
	char *directory, *tree; /* owned; …/state/layers/a in scratch, and its tree */
	int tree_fd;
	struct place *place; /* owned */
	struct sha256 *sha256; /* owned; to be used again after each end */
};

void extracted_init(struct extracted *layer, const struct place_limits *limits);
void extracted_deinit(struct extracted *layer);
void extracted_add_file(struct extracted *layer, const char *name, const void *data, size_t size,
	bool is_executable);
/* @type is that of a link. */
void extracted_add_link(
	struct extracted *layer, const char *name, enum place_type type, const char *target);
/* Nothing more is added. */
void extracted_finish(struct extracted *layer);
