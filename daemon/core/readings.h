#pragma once
/*
 * What requirements files say: those that are known, and the reading of others (single
 * flight). Kept in memory, a bounded number. Loop thread only.
 */
#include "daemon/core/core.h"
#include "daemon/core/creation.h"

struct readings;

struct readings *readings_new(struct core *core);
struct readings *readings_free(struct readings *readings); /* nothing is being read */

/* Whose requirements. Borrowed during a call. */
struct readings_subject {
	const char *path, *packages; /* the second NULL: from an index */
	const struct peer *peer;
};

/* What was read. */
struct reading {
	char sha256[SHA256_HEX_SIZE];
	bool needs_pip; /* uv does not know all that they say */
	bool is_pinned; /* each of them names one content */
	uint32_t count; /* of requirements */
	char *specifiers; /* owned; what they name, a line each */
};

void reading_copy(struct reading *to, const struct reading *from);
void reading_deinit(struct reading *reading);

/* True: it is known, and none of the files it was read from has changed; @ret is the
 * caller's. To be called as the peer (identity_assume()). */
bool readings_look(
	struct readings *readings, const struct readings_subject *subject, struct reading *ret);

/* One being read. */
struct reading_work;

/* Joins the reading of these, or begins it. */
struct reading_work *readings_begin(
	struct readings *readings, const struct readings_subject *subject);
struct creation *reading_work_creation(struct reading_work *work);
/* Once its waiters are told that it went well. */
const struct reading *reading_work_result(const struct reading_work *work);
