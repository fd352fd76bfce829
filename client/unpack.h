#pragma once
/*
 * An archive, unpacked for a moment, to look at what is in it. One thread.
 */
#include "client/helper.h"

struct unpack {
	char *directory; /* owned; of our own; NULL: there is none */
	char *tree; /* owned; what was in the archive */
	int fd; /* of the directory */
};

#define UNPACK_INIT                                                                                \
	{                                                                                          \
		.fd = -1                                                                           \
	}

/* Below $TMPDIR, or /tmp. @sha256: what it has to be. unpack_end() also after a failure. */
int unpack_begin(struct unpack *unpack, struct helper *helper, const char *path,
	const uint8_t sha256[SHA256_SIZE], struct error *err);
/* Removes it. */
void unpack_end(struct unpack *unpack, struct helper *helper);
