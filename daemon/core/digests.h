#pragma once
/*
 * Digests of files: those that are known, and the computing of others (single
 * flight). Loop thread only.
 */
#include "daemon/core/core.h"
#include "daemon/core/creation.h"

struct digests;

struct digests *digests_new(struct core *core);
struct digests *digests_free(struct digests *digests); /* nothing is being computed */

/* DB_E_NOT_FOUND. A directory's digest is never known. */
int digests_find(struct digests *digests, const struct fs_identity *file, const char *reader,
	char ret[SHA256_HEX_SIZE], struct error *err);
/* Notes what was just computed, unless the file may have changed since without a
 * trace. @begun: unix ns, before the first byte was read. */
void digests_learn(struct digests *digests, const struct fs_identity *file, const char *reader,
	const char *sha256, int64_t begun);
/* Whether a file that we began to read then cannot have changed since without a trace. */
bool digests_may_keep(const struct fs_identity *file, int64_t begun);
/* Whether nothing known has this size, so that the file is new for certain. */
int digests_is_new_size(struct digests *digests, uint64_t size, bool *ret, struct error *err);

/* One being computed. */
struct digesting;

/* Joins the one for this file and reader, or begins one. Inputs are copied. */
struct digesting *digests_compute(struct digests *digests, const char *path,
	const struct fs_identity *file, const struct peer *peer, bool may_be_directory);
struct creation *digesting_creation(struct digesting *digesting);
/* Once its waiters are told that it went well. */
const char *digesting_sha256(const struct digesting *digesting);
