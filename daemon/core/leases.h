#pragma once
/*
 * Leases and their holders. The rows are in the index; beside them, in memory, is
 * what watches the holders. Loop thread only.
 */
#include "daemon/core/endings.h"
#include "daemon/core/janitor.h"
#include "proto/spec.h"

struct leases;
struct lease;

struct leases *leases_new(struct core *core, struct janitor *janitor);
struct leases *leases_free(struct leases *leases); /* rows and directories stay */

/* At the start: watches the holders of all leases in the index; releases those
 * whose holder is gone. */
int leases_load(struct leases *leases, struct error *err);

/* Called when a lease has ended; must not use leases. */
void leases_on_end(struct leases *leases, void (*ended)(void *data), void *data);

/* The process that @spec names as guardian, as the peer names it; pid 0: none. When the
 * request comes, not when the lease is made. */
int leases_find_guardian(
	const struct spec *spec, const struct peer *peer, struct process *ret, struct error *err);

/* A lease that is being made. All that it points to is borrowed until done(). */
struct lease_grant {
	const struct spec *spec;
	const struct peer *peer;
	struct process guardian; /* from leases_find_guardian() */
	const char *hash; /* of the environment */
	int64_t owner; /* of the environment */
	const struct db_component *components;
	size_t component_count;
	const char *const *layer_ids; /* one for each archive, then for each file */
	size_t layer_count;
	/* What it keeps. */
	const struct db_lease_artifact *artifacts;
	size_t artifact_count;
	const char *request_digest;
	const char *interpreter, *home; /* what was found for it; NULL: none */
	/* leases_record() has ended. @err NULL: the lease is there to stay. */
	void (*done)(struct lease_grant *grant, const struct error *err);

	char lease_id[LEASE_ID_LENGTH + 1]; /* from leases_grant() */
	struct list link; /* leases.recorded */
	struct error err; /* private to leases-grant.c */
};

/* Makes the directory, watches the holder. On failure nothing is left. Private copies
 * come next, by whoever asked, and then leases_record(). */
int leases_grant(
	struct leases *leases, struct lease_grant *grant, struct lease **ret, struct error *err);
/* Makes the row, once all is in the directory: whatever has no row when the daemon dies
 * goes. Never at once: when the loop is through with what else it has to do, all that is to
 * be recorded by then goes into one transaction. Fails if the lease has ended meanwhile. */
void leases_record(struct leases *leases, struct lease_grant *grant);
/* Nobody waits for it any more; done() is not called. */
void leases_unrecord(struct lease_grant *grant);

/* NULL: no such lease (any more). */
struct lease *leases_find(struct leases *leases, const char *id);
/* The one that was made under this request id. DB_E_NOT_FOUND. */
int leases_find_by_request(struct leases *leases, uid_t uid, const char *request_id,
	struct db_lease *ret, struct error *err);

/* Of those that the peer's process guards, and whose request ids begin so, the last that was
 * made under this label. NULL: none. */
struct lease *leases_find_guarded(
	struct leases *leases, const struct peer *peer, const char *request, const char *label);
/* The end of its holder, to be added by the caller. */
struct ending lease_ending(const struct lease *lease);

const char *lease_id(const struct lease *lease);
uid_t lease_uid(const struct lease *lease);
int64_t lease_expires(const struct lease *lease); /* 0: not by time */

/* An answer that names the lease is under way; it arrived, or it did not. A lease
 * that no answer ever named to anybody is released. Each begin is followed by one
 * end, with the id, for the lease may be gone by then. */
void lease_begin_delivery(struct lease *lease);
void leases_end_delivery(struct leases *leases, const char *id, bool delivered);

enum lease_end {
	LEASE_RELEASED, /* somebody said so */
	LEASE_EXPIRED, /* its holder is gone or its time is up */
	LEASE_FAILED, /* it never came to be used */
};

void lease_release(struct lease *lease, enum lease_end why);

/* -EBADF style errors: NOT_FOUND, HOLDER_MISMATCH by reason. */
int lease_renew(struct lease *lease, uint32_t seconds, struct error *err);

/* A new retrieval token: the absolute path of a file, which the caller frees. */
int lease_make_token(struct lease *lease, char **ret, struct error *err);

/* A HoldLease stream. */
struct lease_hold {
	struct lease *lease; /* private to leases.c; NULL while it holds nothing */
	/* The lease was released by somebody else; the hold is over. */
	void (*ended)(struct lease_hold *hold);
};

int lease_hold(struct lease *lease, struct lease_hold *hold, struct error *err);
/* @keep: the daemon stops, and the lease waits for its grace time. */
void lease_hold_end(struct lease_hold *hold, bool keep);

size_t leases_count(const struct leases *leases);
