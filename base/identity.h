#pragma once
/*
 * Acting on the file system as somebody else, and back.
 *
 * The daemon runs as an ordinary user who may keep the capabilities to change
 * identity; it looks at a client's paths with that client's eyes. Only the
 * identity for the file system changes (fsuid, fsgid, groups), and only of the
 * calling thread. For uid 0, CAP_DAC_READ_SEARCH and CAP_DAC_OVERRIDE are made
 * effective meanwhile, if they are permitted.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include "base/error.h"

struct identity {
	uid_t uid;
	gid_t gid;
	size_t group_count;
	gid_t *groups; /* owned; supplementary groups */
};

void identity_deinit(struct identity *identity);
void identity_copy(struct identity *to, const struct identity *from);
bool identity_equal(const struct identity *a, const struct identity *b);

/* Whether this process can act as others at all (CAP_SETUID and CAP_SETGID). */
bool identity_may_change(void);

/* -EPERM when this process cannot act as @identity. Acting as oneself always
 * works and costs nothing. Not nested. */
int identity_assume(const struct identity *identity, struct error *err);
void identity_resume(void);

/* For good, and wholly: uids, gids and groups; all capabilities are dropped, also
 * from the bounding and ambient sets where that is allowed, and no_new_privs is
 * set. With NULL the identity stays and only the rest is done. Single-threaded
 * processes only. */
int identity_drop(const struct identity *identity, struct error *err);

/* For good: of the capabilities only those in @keep (a mask of 1 << CAP_…) stay, as far
 * as they are there; no_new_privs is set. Of the calling thread and those it starts. */
int identity_keep(uint64_t keep, struct error *err);

/* Becomes @uid and @gid (no other groups) but keeps the capabilities in @keep (a
 * mask of 1 << CAP_…) permitted, effective but for the two that read everything,
 * and ambient, so that programs this one starts have them too. For the daemon's
 * start as root. */
int identity_become_service(uid_t uid, gid_t gid, uint64_t keep, struct error *err);
