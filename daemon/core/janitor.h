#pragma once
/*
 * Removes directories of layers and leases, and artifacts, in batches, by worker processes; keeps
 * what could not be removed in mind and tries again when asked. Loop thread only.
 */
#include "daemon/core/core.h"

struct janitor;

struct janitor *janitor_new(struct core *core);
struct janitor *janitor_free(struct janitor *janitor);

struct janitor_waiter {
	/* Once, when the directory is gone or could not be removed. */
	void (*done)(struct janitor_waiter *waiter);
};

/* A layer whose row is in DELETING, or that has no row; the row goes when the
 * directory is gone. @waiter may be NULL. */
void janitor_remove_layer(struct janitor *janitor, const char *id, struct janitor_waiter *waiter);
/* A lease that has no row any more. */
void janitor_remove_lease(struct janitor *janitor, const char *id, uid_t uid, gid_t gid);
/* An artifact that has no row, under a name that nobody gives again. */
void janitor_remove_artifact(struct janitor *janitor, const char *name);

/* While @is_recovering, layers to be removed are old: their worker may still live. */
void janitor_recover(struct janitor *janitor, bool is_recovering);
/* Leaves old layers to the next start: they could take for ever. */
void janitor_stop(struct janitor *janitor);

/* Tries again what failed before. */
void janitor_retry(struct janitor *janitor);
/* Nothing is waiting or being removed. */
bool janitor_is_idle(const struct janitor *janitor);

/* What could not be removed, in words; borrowed until the next call. */
const char *const *janitor_list_leftovers(struct janitor *janitor, size_t *count);
