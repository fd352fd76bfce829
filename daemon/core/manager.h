#pragma once
/*
 * What the API can ask for, in the words of core. A table of contents: whatever has
 * to be decided is decided by the modules beneath. Loop thread only.
 *
 * Outcomes are 0 or a negative errno with @err filled; reasons are those of
 * pyenvd.v1.Reason.
 */
#include "daemon/core/collect.h"
#include "daemon/core/create.h"
#include "daemon/core/explain.h"
#include "daemon/core/harness.h"
#include "daemon/core/leases.h"
#include "daemon/core/uploads.h"

struct manager;

/* Recovers first. @core is borrowed. */
int manager_new(struct core *core, struct manager **ret, struct error *err);
/* Nothing is in flight. */
struct manager *manager_free(struct manager *manager);
DEFINE_CLEANUP(struct manager *, manager_free);

/* From now on new creates are refused. */
void manager_drain(struct manager *manager);
/* Nothing is in flight but what only tidies up. */
bool manager_is_idle(const struct manager *manager);
void manager_on_index_pages(struct manager *manager, int pages);

/* Fills a peer from what the socket says: reader, and who its process is. */
void manager_admit(const struct manager *manager, struct peer *peer, pid_t pid);

/* 0, CREATE_E_LATER, or a failure. After 0, or done() without error, the answer is
 * under way: manager_end_delivery() must follow, exactly once. */
int manager_create(struct manager *manager, struct create *create, struct error *err);
void manager_end_delivery(struct manager *manager, const char *lease_id, bool delivered);

/* As explain_begin(). */
int manager_explain(struct manager *manager, struct explain *explain, struct error *err);

int manager_release(struct manager *manager, const struct peer *peer, const char *lease_id,
	bool *released, struct error *err);
int manager_renew(struct manager *manager, const struct peer *peer, const char *lease_id,
	uint32_t seconds, int64_t *expires, struct error *err);
/* The absolute path of a new retrieval token, owned by the caller. */
int manager_create_token(struct manager *manager, const struct peer *peer, const char *lease_id,
	char **ret, struct error *err);
int manager_hold(struct manager *manager, const struct peer *peer, const char *lease_id,
	struct lease_hold *hold, struct error *err);

/* As harness_start() and harness_stop(). */
int manager_start_harness(struct manager *manager, struct harness_start *start, struct error *err);
bool manager_stop_harness(struct manager *manager, const struct peer *peer, const char *id,
	struct harness_stop *stop);

/* As upload_begin(). */
int manager_upload(struct manager *manager, struct upload *upload, struct error *err);
/* The peer's own, which is used thereby; -ENOENT (ARTIFACT_NOT_FOUND). */
int manager_find_artifact(struct manager *manager, const struct peer *peer, const char *digest,
	struct db_artifact *ret, struct error *err);

struct manager_status {
	bool is_draining;
	int64_t started;
	const char *state_directory; /* borrowed */
	struct db_totals totals;
	uint64_t creations, max_bytes;
	struct core_counters counters;
	struct pool_counters pool;
	const char *const *leftovers; /* borrowed until the next call */
	size_t leftover_count;
};

int manager_get_status(struct manager *manager, struct manager_status *ret, struct error *err);

/* Pages of what the peer may see, in the order of ids. @after as in store/db.h. */
int manager_list_environments(struct manager *manager, const struct peer *peer, const char *after,
	size_t limit, struct db_environments *ret, struct error *err);
int manager_list_layers(struct manager *manager, const struct peer *peer, const char *after,
	size_t limit, struct db_layers *ret, struct error *err);
int manager_list_leases(struct manager *manager, const struct peer *peer, const char *after,
	size_t limit, struct db_leases *ret, struct error *err);

int manager_list_artifacts(struct manager *manager, const struct peer *peer, const char *after,
	size_t limit, struct db_artifacts *ret, struct error *err);

enum manager_creation_kind {
	MANAGER_CREATION_LAYER,
	MANAGER_CREATION_ENVIRONMENT,
	MANAGER_CREATION_UPLOAD,
};

struct manager_creation {
	enum manager_creation_kind kind;
	char *id, *subject; /* owned */
	uid_t uid;
	struct job_progress progress;
	size_t waiters;
	int64_t started;
	pid_t pid;
};

struct manager_creations {
	struct manager_creation *rows; /* owned; manager_creations_deinit() */
	size_t count;
};

/* All that the peer may see, sorted by id. */
void manager_list_creations(
	struct manager *manager, const struct peer *peer, struct manager_creations *ret);
void manager_creations_deinit(struct manager_creations *creations);

/* One thing by its id; NOT_FOUND. */
struct manager_found {
	enum { MANAGER_FOUND_LEASE = 1, MANAGER_FOUND_LAYER, MANAGER_FOUND_ENVIRONMENT } kind;
	struct db_lease lease;
	struct db_layer layer;
	struct db_environment environment;
};

int manager_find(struct manager *manager, const struct peer *peer, const char *id,
	struct manager_found *ret, struct error *err);
/* What belongs to it. */
int manager_lease_layers(
	struct manager *manager, const char *lease_id, struct db_ids *ret, struct error *err);
int manager_environment_layers(struct manager *manager, const struct db_environment *environment,
	struct db_ids *ret, struct error *err);
int manager_environment_components(struct manager *manager,
	const struct db_environment *environment, struct db_components *ret, struct error *err);
/* What requirements became in this layer; empty, and text NULL, where there are none. */
int manager_layer_install(
	struct manager *manager, const char *id, struct db_install *ret, struct error *err);
/* Absolute paths as text, owned by the caller. */
char *manager_layer_directory(const struct manager *manager, const char *id);
char *manager_lease_directory(const struct manager *manager, const char *id);

struct manager_collected {
	/* The rows are owned; those in front were (or would be) removed. */
	struct collect_idle idle;
	uint64_t freed_bytes, kept_bytes;
};

int manager_collect(struct manager *manager, const struct peer *peer, uint64_t max_bytes,
	uint32_t idle_seconds, bool dry_run, struct manager_collected *ret, struct error *err);
