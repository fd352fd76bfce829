#pragma once
/* Making a layer: the tree, its bytecode, its manifest, who may enter it. */
#include "daemon/worker/archive-input.h"
#include "daemon/worker/bytecode.h"

enum extract_kind {
	EXTRACT_ARCHIVE,
	EXTRACT_FILE,
	EXTRACT_DIRECTORY,
};

struct extract {
	/* in; borrowed */
	struct source *source; /* open */
	const struct identity *peer; /* of directories */
	enum extract_kind kind;
	const char *name;
	bool hash;
	const uint8_t *expected_sha256; /* or NULL */
	bool copy_first;
	bool access_all;
	uid_t access_uid;
	enum bytecode_mode bytecode;
	struct place_limits limits;
	uint32_t threads;
	int directory_fd;
	const char *directory, *header;
	struct report *report;
	/* out */
	int lock_fd; /* holds the layer's lock, also after a failure; the caller closes it */
	uint8_t digest[SHA256_SIZE]; /* of the source, if it was computed */
	uint64_t bytes, entries, compiled;
	const char *format; /* static */
	char note[256];
};

/* After a failure the layer is half-made; somebody removes it. */
int extract_run(struct extract *extract, struct error *err);
