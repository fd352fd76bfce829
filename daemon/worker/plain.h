#pragma once
/* What is copied into a layer as it is: a file, or a directory. */
#include "daemon/worker/archive-input.h"

int plain_copy_file(const struct archive_input *input, const char *name, struct error *err);
int plain_copy_directory(const struct archive_input *input, const struct identity *peer,
	const char *name, struct error *err);
