#pragma once
/* Content that the daemon cannot read itself. One thread. */
#include "base/sha256.h"
#include "client/progress.h"
#include "client/session.h"

struct uploaded {
	char sha256[SHA256_HEX_SIZE];
	uint64_t size;
	bool was_there; /* nothing was sent */
};

/* Whether the file is this user's artifact; if not: PYENVD_NOT_FOUND, ARTIFACT_NOT_FOUND.
 * @progress may be NULL, here and below. Returns the error's code. */
enum pyenvd_code upload_find(const struct session *session, const char *path,
	struct progress *progress, struct uploaded *ret, struct pyenvd_error *error);
/* Makes it one. */
enum pyenvd_code upload_file(const struct session *session, const char *path,
	struct progress *progress, struct uploaded *ret, struct pyenvd_error *error);
/* So many bytes of the file from @offset on, whose digest is known: for when the daemon has
 * said that it does not have them. */
enum pyenvd_code upload_part(const struct session *session, const char *path, uint64_t offset,
	uint64_t size, const char *sha256, struct progress *progress, struct pyenvd_error *error);
/* Whether that could go well: a regular file that can be opened. */
bool upload_is_possible(const char *path);
