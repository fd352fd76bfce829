#include "daemon/core/manager-internal.h"

#include <errno.h>
#include <stdio.h>
#include "base/clock.h"
#include "base/log.h"
#include "daemon/core/recover.h"
#include "proto/hash.h"

/* ---- life */

static void on_added(void *data)
{
	struct manager *manager = data;

	upkeep_on_added(manager->upkeep);
	superseded_check(manager->superseded);
}

static void on_lease_ended(void *data)
{
	struct manager *manager = data;

	superseded_check(manager->superseded);
}

int manager_new(struct core *core, struct manager **ret, struct error *err)
{
	_cleanup_(manager_freep) struct manager *manager = new0(struct manager);
	int r;

	manager->core = core;
	manager->started = clock_unix_ms();
	manager->janitor = janitor_new(core);
	manager->digests = digests_new(core);
	manager->probes = probes_new(core);
	manager->readings = readings_new(core);
	manager->slots = slots_new(core);
	manager->layers = layers_new(core, manager->janitor, manager->digests, manager->slots);
	manager->artifacts = artifacts_new(core, manager->janitor);
	manager->uploads = uploads_new(core, manager->artifacts);
	manager->leases = leases_new(core, manager->janitor);
	manager->creates = creates_new(core, manager->digests, manager->probes, manager->readings,
		manager->layers, manager->leases, manager->artifacts);
	manager->harnesses = harnesses_new(core, manager->creates, manager->leases);
	manager->explains = explains_new(core, manager->digests, manager->probes, manager->readings,
		manager->layers, manager->artifacts);
	manager->upkeep = upkeep_new(core, manager->layers, manager->artifacts, manager->janitor);
	manager->superseded = superseded_new(core, manager->layers);
	layers_on_ready(manager->layers, on_added, manager);
	leases_on_end(manager->leases, on_lease_ended, manager);
	artifacts_on_added(manager->artifacts, on_added, manager);
	r = recover(core, manager->layers, manager->artifacts, manager->janitor, err);
	if (r == 0)
		r = leases_load(manager->leases, err);
	if (r)
		return r;
	*ret = STEAL(manager);
	return 0;
}

struct manager *manager_free(struct manager *manager)
{
	if (!manager)
		return NULL;
	superseded_free(manager->superseded);
	upkeep_free(manager->upkeep);
	explains_free(manager->explains);
	harnesses_free(manager->harnesses);
	creates_free(manager->creates);
	leases_free(manager->leases);
	uploads_free(manager->uploads);
	artifacts_free(manager->artifacts);
	layers_free(manager->layers);
	digests_free(manager->digests);
	probes_free(manager->probes);
	readings_free(manager->readings);
	slots_free(manager->slots);
	janitor_free(manager->janitor);
	free(manager);
	return NULL;
}

void manager_drain(struct manager *manager)
{
	manager->is_draining = true;
	upkeep_stop(manager->upkeep);
	superseded_stop(manager->superseded);
	janitor_stop(manager->janitor);
}

bool manager_is_idle(const struct manager *manager)
{
	return creates_count(manager->creates) == 0 && uploads_count(manager->uploads) == 0 &&
		janitor_is_idle(manager->janitor) && pool_is_idle(manager->core->pool);
}

void manager_on_index_pages(struct manager *manager, int pages)
{
	upkeep_on_pages(manager->upkeep, pages);
}

void manager_admit(const struct manager *manager, struct peer *peer, pid_t pid)
{
	hash_reader(&peer->identity, peer->reader);
	peer->process = (struct process){ 0 };
	if (pid <= 0 || process_find(pid, peer->identity.uid, &peer->process, NULL, NULL))
		return;
	peer->is_nested = process_check_namespace(pid) != 0;
}

/* ---- leases */

int manager_create(struct manager *manager, struct create *create, struct error *err)
{
	if (manager->is_draining)
		return fail(err, -ESHUTDOWN, "DRAINING", "the daemon is stopping");
	return create_begin(manager->creates, create, err);
}

int manager_explain(struct manager *manager, struct explain *explain, struct error *err)
{
	if (manager->is_draining)
		return fail(err, -ESHUTDOWN, "DRAINING", "the daemon is stopping");
	return explain_begin(manager->explains, explain, err);
}

void manager_end_delivery(struct manager *manager, const char *lease_id, bool delivered)
{
	leases_end_delivery(manager->leases, lease_id, delivered);
}

bool manager_may_touch(const struct peer *peer, uid_t uid)
{
	return peer->is_admin || peer->identity.uid == uid;
}

static int find_lease(struct manager *manager, const struct peer *peer, const char *id,
	struct lease **ret, struct error *err)
{
	struct lease *lease = leases_find(manager->leases, id);

	if (!lease)
		return fail(err, -ENOENT, "NOT_FOUND", "there is no lease '%s'", LOG_TEXT(id));
	if (!manager_may_touch(peer, lease_uid(lease)))
		return fail(err, -EPERM, "NOT_ALLOWED", "lease '%s' is not of uid %d", id,
			(int)peer->identity.uid);
	*ret = lease;
	return 0;
}

int manager_release(struct manager *manager, const struct peer *peer, const char *id,
	bool *released, struct error *err)
{
	struct lease *lease;
	int r;

	*released = false;
	if (!leases_find(manager->leases, id))
		return 0;
	r = find_lease(manager, peer, id, &lease, err);
	if (r)
		return r;
	lease_release(lease, LEASE_RELEASED);
	*released = true;
	return 0;
}

int manager_renew(struct manager *manager, const struct peer *peer, const char *id,
	uint32_t seconds, int64_t *expires, struct error *err)
{
	struct lease *lease;
	int r;

	r = find_lease(manager, peer, id, &lease, err);
	if (r == 0)
		r = lease_renew(lease, seconds, err);
	if (r == 0)
		*expires = lease_expires(lease);
	return r;
}

int manager_create_token(struct manager *manager, const struct peer *peer, const char *id,
	char **ret, struct error *err)
{
	struct lease *lease;
	int r;

	r = find_lease(manager, peer, id, &lease, err);
	return r ? r : lease_make_token(lease, ret, err);
}

int manager_hold(struct manager *manager, const struct peer *peer, const char *id,
	struct lease_hold *hold, struct error *err)
{
	struct lease *lease;
	int r;

	if (manager->is_draining)
		return fail(err, -ESHUTDOWN, "DRAINING", "the daemon is stopping");
	r = find_lease(manager, peer, id, &lease, err);
	return r ? r : lease_hold(lease, hold, err);
}

/* ---- Beam's workers */

int manager_start_harness(struct manager *manager, struct harness_start *start, struct error *err)
{
	if (manager->is_draining)
		return fail(err, -ESHUTDOWN, "DRAINING", "the daemon is stopping");
	return harness_start(manager->harnesses, start, err);
}

bool manager_stop_harness(
	struct manager *manager, const struct peer *peer, const char *id, struct harness_stop *stop)
{
	return harness_stop(manager->harnesses, peer, id, stop);
}

/* ---- artifacts */

int manager_upload(struct manager *manager, struct upload *upload, struct error *err)
{
	if (manager->is_draining)
		return fail(err, -ESHUTDOWN, "DRAINING", "the daemon is stopping");
	return upload_begin(manager->uploads, upload, err);
}

int manager_find_artifact(struct manager *manager, const struct peer *peer, const char *digest,
	struct db_artifact *ret, struct error *err)
{
	int r = artifacts_use(manager->artifacts, peer->identity.uid, digest, ret, err);

	return r == ARTIFACTS_E_NOT_FOUND ? artifact_fail_missing(err, digest) : r;
}

/* ---- what is there */

/* -1: everything. */
static int64_t view_of(const struct peer *peer)
{
	return peer->is_admin ? -1 : (int64_t)peer->identity.uid;
}

int manager_get_status(struct manager *manager, struct manager_status *ret, struct error *err)
{
	*ret = (struct manager_status){
		.is_draining = manager->is_draining,
		.started = manager->started,
		.state_directory = tree_path(manager->core->tree),
		.creations = creates_count(manager->creates) +
			layers_count_making(manager->layers) + uploads_count(manager->uploads),
		.max_bytes = manager->core->config.max_bytes,
		.counters = manager->core->counters,
		.pool = *pool_get_counters(manager->core->pool),
	};
	ret->leftovers = janitor_list_leftovers(manager->janitor, &ret->leftover_count);
	return db_get_totals(manager->core->db, &ret->totals, err);
}

int manager_list_environments(struct manager *manager, const struct peer *peer, const char *after,
	size_t limit, struct db_environments *ret, struct error *err)
{
	return db_list_environments(manager->core->db, after, limit, view_of(peer), ret, err);
}

int manager_list_layers(struct manager *manager, const struct peer *peer, const char *after,
	size_t limit, struct db_layers *ret, struct error *err)
{
	return db_list_layers(manager->core->db, after, limit, view_of(peer), ret, err);
}

int manager_list_leases(struct manager *manager, const struct peer *peer, const char *after,
	size_t limit, struct db_leases *ret, struct error *err)
{
	return db_list_leases(manager->core->db, after, limit, view_of(peer), ret, err);
}

int manager_list_artifacts(struct manager *manager, const struct peer *peer, const char *after,
	size_t limit, struct db_artifacts *ret, struct error *err)
{
	return db_list_artifacts(manager->core->db, after, limit, view_of(peer), ret, err);
}

static bool may_see_owner(const struct peer *peer, int64_t owner)
{
	return owner == DB_SHARED || manager_may_touch(peer, (uid_t)owner);
}

/* Ids of leases and layers have lengths of their own; what is neither is a hash. */
static int find(struct db *db, const struct peer *peer, const char *id, struct manager_found *ret,
	struct error *err)
{
	int r = DB_E_NOT_FOUND;

	if (strlen(id) == LEASE_ID_LENGTH) {
		ret->kind = MANAGER_FOUND_LEASE;
		r = db_find_lease(db, id, &ret->lease, err);
		if (r == 0 && !manager_may_touch(peer, ret->lease.uid))
			r = DB_E_NOT_FOUND;
	}
	if (r == DB_E_NOT_FOUND && strlen(id) == LAYER_ID_LENGTH) {
		ret->kind = MANAGER_FOUND_LAYER;
		r = db_find_layer(db, id, &ret->layer, err);
		if (r == 0 && !may_see_owner(peer, ret->layer.owner))
			r = DB_E_NOT_FOUND;
	}
	if (r == DB_E_NOT_FOUND && strlen(id) >= 8) {
		ret->kind = MANAGER_FOUND_ENVIRONMENT;
		r = db_find_environment(db, id, view_of(peer), &ret->environment, err);
	}
	return r;
}

int manager_find(struct manager *manager, const struct peer *peer, const char *id,
	struct manager_found *ret, struct error *err)
{
	int r;

	r = find(manager->core->db, peer, id, ret, err);
	if (r == DB_E_NOT_FOUND)
		return fail(err, -ENOENT, "NOT_FOUND",
			"there is no lease, layer or environment '%s'", LOG_TEXT(id));
	if (r == DB_E_EXISTS)
		return fail(err, -ENOENT, "NOT_FOUND", "more than one environment begins with '%s'",
			LOG_TEXT(id));
	return r;
}

int manager_lease_layers(
	struct manager *manager, const char *lease_id, struct db_ids *ret, struct error *err)
{
	return db_list_lease_layers(manager->core->db, lease_id, ret, err);
}

int manager_environment_layers(struct manager *manager, const struct db_environment *environment,
	struct db_ids *ret, struct error *err)
{
	return db_list_environment_layers(
		manager->core->db, environment->hash, environment->owner, ret, err);
}

int manager_environment_components(struct manager *manager,
	const struct db_environment *environment, struct db_components *ret, struct error *err)
{
	return db_list_components(
		manager->core->db, environment->hash, environment->owner, ret, err);
}

int manager_layer_install(
	struct manager *manager, const char *id, struct db_install *ret, struct error *err)
{
	int r = db_find_install(manager->core->db, id, ret, err);

	return r == DB_E_NOT_FOUND ? 0 : r;
}

char *manager_layer_directory(const struct manager *manager, const char *id)
{
	_cleanup_free_ char *path = tree_layer_path(manager->core->tree, id);

	return text_format("%s/tree", path);
}

char *manager_lease_directory(const struct manager *manager, const char *id)
{
	return tree_lease_path(manager->core->tree, id);
}

int manager_collect(struct manager *manager, const struct peer *peer, uint64_t max_bytes,
	uint32_t idle_seconds, bool dry_run, struct manager_collected *ret, struct error *err)
{
	int64_t used_before = idle_seconds ? clock_unix_ms() - (int64_t)idle_seconds * 1000 : 0;
	struct upkeep_collected collected = { 0 };
	size_t i;
	int r;

	if (!peer->is_admin)
		return fail(err, -EPERM, "NOT_ALLOWED", "only administrators may collect");
	if (!dry_run)
		janitor_retry(manager->janitor);
	r = upkeep_collect(manager->upkeep, max_bytes, used_before, dry_run, &collected, err);
	*ret = (struct manager_collected){ .idle = collected.idle };
	for (i = 0; i < collected.idle.layer_count; i++)
		ret->freed_bytes += collected.idle.layers.rows[i].bytes;
	for (i = 0; i < collected.idle.artifact_count; i++)
		ret->freed_bytes += collected.idle.artifacts.rows[i].bytes;
	ret->kept_bytes = collected.total_bytes - ret->freed_bytes;
	return r;
}
