#pragma once
/*
 * The packages in a client's directory, as pip's --find-links looks at one.
 */
#include "daemon/worker/report.h"
#include "daemon/worker/source.h"

struct requirements_package {
	char *name, *path; /* owned */
	struct source source; /* borrows the path */
	uint8_t digest[SHA256_SIZE];
};

struct requirements_packages {
	struct fs_identity identity; /* of the directory */
	struct requirements_package *rows; /* owned; in the order of their names' bytes */
	size_t count;
};

/* Opens them all, as @peer. Deinit also after a failure. */
int requirements_packages_open(const char *path, const struct identity *peer,
	struct requirements_packages *ret, struct error *err);
/* Copies each into @output_fd (unless -1) and digests it: the copy, if there is one. */
int requirements_packages_digest(struct requirements_packages *packages, int output_fd,
	uint64_t reserve_bytes, unsigned threads, struct report *report, struct error *err);
void requirements_packages_deinit(struct requirements_packages *packages);
