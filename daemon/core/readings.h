#pragma once
/*
 * What requirements files say: those that are known, and the reading of others (single
 * flight). Kept in memory, a bounded number. Loop thread only.
 */
#include "daemon/core/uploaded.h"
#include "daemon/core/core.h"
#include "daemon/core/creation.h"
#include "proto/spec.h"

struct readings;

struct readings *readings_new(struct core *core);
struct readings *readings_free(struct readings *readings); /* nothing is being read */

/* Whose requirements. Borrowed during a call. */
struct readings_subject {
	const char *path, *packages; /* the second NULL: from an index */
	struct uploaded *uploaded; /* if they were uploaded; or NULL */
	const struct peer *peer;
};

/* What is asked for, of those of @spec. */
struct readings_subject readings_subject_of(
	const struct spec *spec, struct uploaded *uploaded, const struct peer *peer);

/* The files that something was read from: first the requirements file, then those that it
 * includes. None: too many to tell; such readings are not known afterwards. */
struct readings_files {
	struct job_file *rows; /* owned, and what is in them */
	size_t count;
};

void readings_files_deinit(struct readings_files *files);
void readings_files_copy(struct readings_files *to, const struct readings_files *from);

/* What was read. */
struct reading {
	char sha256[SHA256_HEX_SIZE];
	const struct readings_files *files; /* borrowed, and valid until the loop goes on */
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
