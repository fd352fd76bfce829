#pragma once
/* What is copied into a layer as it is: a file, or a directory. */
#include "daemon/worker/archive-input.h"

int plain_copy_file(const struct archive_input *input, const char *name, struct error *err);
/* @digest: of what was copied, which is all that is known of a directory that may change
 * meanwhile. */
int plain_copy_directory(const struct archive_input *input, const struct identity *peer,
	const char *name, uint8_t digest[SHA256_SIZE], struct error *err);
