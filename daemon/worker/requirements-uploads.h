#pragma once
/*
 * Requirements that were uploaded: files in a directory of the daemon's, under names that
 * say nothing; and what they are called where they come from. No client can change them.
 */
#include "daemon/worker/requirements-packages.h"

struct requirements_upload {
	const char
		*name; /* of a file: as requirements_name_join() has it; of a package: its file's */
	const char *file; /* in the directory */
};

/* All borrowed. */
struct requirements_uploads {
	int directory_fd;
	const struct requirements_upload *files; /* the first is that from which all begins */
	size_t file_count;
	bool has_packages; /* nothing else is installed */
	const struct requirements_upload *packages;
	size_t package_count;
};

/* -EINVAL (REQUEST_INVALID): it is not among them. */
int requirements_uploads_open(const struct requirements_uploads *uploads, const char *name,
	struct source *ret, struct error *err);
/* All packages, in the order of their names' bytes. Deinit also after a failure. */
int requirements_uploads_open_packages(const struct requirements_uploads *uploads,
	struct requirements_packages *ret, struct error *err);
