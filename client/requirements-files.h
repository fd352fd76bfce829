#pragma once
/*
 * The files that requirements consist of, as they lie here: for who brings them to a daemon
 * that does not see them. One thread.
 */
#include <stdbool.h>
#include <stddef.h>
#include "base/error.h"

struct requirements_here {
	char *path, *name; /* owned; the name as UploadedRequirements has it */
	bool is_package;
};

struct requirements_files {
	struct requirements_here *rows; /* owned; the first is the requirements file itself */
	size_t count;
};

/*
 * @path, all that it includes, and if @packages is not NULL, all packages in that directory.
 * -EIO: something cannot be read; REQUIREMENTS_INVALID, LIMIT_EXCEEDED. Deinit also after a
 * failure.
 */
int requirements_files_find(
	const char *path, const char *packages, struct requirements_files *ret, struct error *err);
void requirements_files_deinit(struct requirements_files *files);
