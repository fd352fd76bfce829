#pragma once
/*
 * Artifacts that users have uploaded, and those that leases keep: rows and files as one. Each is of the uid that has
 * presented its bytes, also where layers are shared: nobody gets at content by knowing its
 * digest. Loop thread only.
 */
#include "daemon/core/core.h"
#include "daemon/core/creation.h"
#include "daemon/core/janitor.h"
#include "daemon/core/pins.h"

#define ARTIFACT_NAME_SIZE (SHA256_HEX_SIZE + 11)

struct artifacts;

struct artifacts *artifacts_new(struct core *core, struct janitor *janitor);
struct artifacts *artifacts_free(struct artifacts *artifacts); /* nothing is pinned */

/* Of the file, and of pins. */
void artifact_format_name(const char *digest, uid_t uid, char ret[ARTIFACT_NAME_SIZE]);

enum {
	ARTIFACTS_E_NOT_FOUND = 1,
};

/* ARTIFACT_NOT_FOUND, in words. */
int artifact_fail_missing(struct error *err, const char *digest);

/* This user's, which counts as used thereby. ARTIFACTS_E_NOT_FOUND. */
int artifacts_use(struct artifacts *artifacts, uid_t uid, const char *digest,
	struct db_artifact *ret, struct error *err);
/* The content is whole in @fd, a file of tree_make_artifact(). There may be one already:
 * then that stays. */
int artifacts_add(struct artifacts *artifacts, uid_t uid, const char *digest, uint64_t bytes,
	int fd, struct error *err);
/* Called when one has been added. */
void artifacts_on_added(struct artifacts *artifacts, void (*added)(void *data), void *data);

/* A file of a client that is to be one, and is being copied (single flight). */
struct keeping;

/* Joins the one of this digest and user, or begins one. Its waiters pin the artifact, if
 * they need it, when they are told that it went well. Inputs are copied. */
struct keeping *artifacts_keep(struct artifacts *artifacts, const char *digest, const char *path,
	const struct fs_identity *file, const struct peer *peer);
struct creation *keeping_creation(struct keeping *keeping);

/* For reading (the caller closes), and which file it is. */
int artifacts_open(struct artifacts *artifacts, const struct db_artifact *artifact, int *ret_fd,
	struct fs_identity *ret, struct error *err);
/* Takes it away from everybody and has it removed. */
int artifacts_condemn(
	struct artifacts *artifacts, const struct db_artifact *artifact, struct error *err);

/* What must not be collected just now, by name. */
struct pins *artifacts_pins(struct artifacts *artifacts);

/* Makes rows and files agree again, whatever the last daemon left. After another boot,
 * those that were not durable go. */
int artifacts_recover(struct artifacts *artifacts, bool is_new_boot, struct error *err);
