/*
 * A lease is first a directory, and becomes a row when all is in the directory: so a row
 * always stands for a whole lease.
 *
 * What costs most about it is the transaction, and many leases can share one. So those
 * that are to be recorded wait while the loop goes through what its clients have sent. If
 * the transaction fails (one may be to blame, or a full disk), each is tried in one of its
 * own.
 */
#include <errno.h>
#include <stdio.h>
#include "base/clock.h"
#include "base/log.h"
#include "daemon/core/leases-internal.h"

static int fill_holder(struct db_lease *row, const struct lease_grant *grant, struct error *err)
{
	const struct spec *spec = grant->spec;
	const struct peer *peer = grant->peer;
	struct process process = peer->process;
	int r = 0;

	switch (spec->holder) {
	case SPEC_HOLDER_TIME:
		row->holder = DB_HOLDER_TIME;
		row->expires = row->created + (int64_t)spec->holder_seconds * 1000;
		return 0;
	case SPEC_HOLDER_CONNECTION:
		row->holder = DB_HOLDER_CONNECTION;
		row->grace_ms = spec->holder_grace_ms;
		return 0;
	case SPEC_HOLDER_PROCESS:
		break;
	}
	if (!peer->process.pid || (spec->holder_pid && peer->is_nested))
		return fail(err, -ESRCH, "HOLDER_NOT_VISIBLE",
			"the daemon cannot see the process that is to hold the lease: it lives in "
			"another pid namespace; hold the lease by a connection or a time-to-live");
	if (spec->holder_pid)
		r = process_find(spec->holder_pid, peer->identity.uid, &process, NULL, err);
	if (r == WATCH_E_GONE)
		return fail(err, -ESRCH, "HOLDER_NOT_VISIBLE", "there is no process %d",
			spec->holder_pid);
	if (r == WATCH_E_FOREIGN)
		return fail(err, -EPERM, "NOT_ALLOWED", "process %d is not of uid %d",
			spec->holder_pid, (int)peer->identity.uid);
	row->holder = DB_HOLDER_PROCESS;
	row->pid = process.pid;
	row->pid_start = process.start;
	row->guardian_pid = grant->guardian.pid;
	row->guardian_start = grant->guardian.start;
	return r;
}

static int make_directory(struct leases *leases, struct db_lease *row,
	const struct lease_grant *grant, struct error *err)
{
	const struct spec *spec = grant->spec;
	struct tree_link *links = new0_array(struct tree_link, spec->archive_count);
	size_t i;
	int r;

	for (i = 0; i < spec->archive_count; i++)
		links[i] = (struct tree_link){
			.target_dir = spec->archives[i].target,
			.layer_id = spec->archives[i].private_copy ? NULL : grant->layer_ids[i],
		};
	do {
		timed_id(row->id, LEASE_ID_LENGTH, row->created);
		r = tree_make_lease(leases->core->tree, row->id, &grant->peer->identity, links,
			spec->archive_count, err);
	} while (r == TREE_E_EXISTS);
	free(links);
	return r;
}

static int check_count(struct leases *leases, const struct peer *peer, struct error *err)
{
	uint64_t count = tally_get(&leases->tally, peer->identity.uid);
	uint32_t limit = leases->core->config.max_leases;

	if (limit && count >= limit)
		return fail(err, -ENOSPC, "TOO_MANY", "uid %d has %llu leases already",
			(int)peer->identity.uid, (unsigned long long)count);
	return 0;
}

int leases_grant(
	struct leases *leases, struct lease_grant *grant, struct lease **ret, struct error *err)
{
	static const enum db_worker workers[] = {
		[SPEC_WORKER_PROCESS] = DB_WORKER_PROCESS,
		[SPEC_WORKER_DOCKER] = DB_WORKER_DOCKER,
	};
	struct db_lease row = {
		.uid = grant->peer->identity.uid,
		.gid = grant->peer->identity.gid,
		.owner = grant->owner,
		.created = clock_unix_ms(),
		.worker = workers[grant->spec->worker],
	};
	struct lease *lease;
	int r;

	snprintf(row.hash, sizeof(row.hash), "%s", grant->hash);
	snprintf(row.request_id, sizeof(row.request_id), "%s", grant->spec->request_id);
	snprintf(row.request_digest, sizeof(row.request_digest), "%s", grant->request_digest);
	snprintf(row.label, sizeof(row.label), "%s", grant->spec->label);
	snprintf(row.boot_id, sizeof(row.boot_id), "%s", leases->core->boot_id);
	r = check_count(leases, grant->peer, err);
	if (r == 0)
		r = fill_holder(&row, grant, err);
	if (r == 0)
		r = fold(make_directory(leases, &row, grant, err));
	if (r)
		return r;
	lease = lease_new(leases, &row);
	r = lease_watch_holder(lease, err);
	if (r == 0)
		r = lease_watch_guardian(lease, err);
	if (r) {
		lease_free(lease);
		janitor_remove_lease(leases->janitor, row.id, row.uid, row.gid);
		return r;
	}
	memcpy(grant->lease_id, row.id, sizeof(grant->lease_id));
	*ret = lease;
	return 0;
}

/* ---- rows */

/* Only who retries asks for it. */
static int add_interpreter(
	struct db *db, const char *id, const struct lease_grant *grant, struct error *err)
{
	if (!grant->interpreter || !*grant->spec->request_id)
		return 0;
	return fold(db_add_lease_interpreter(
		db, id, grant->interpreter, grant->home ? grant->home : "", err));
}

static int add_row(struct leases *leases, const struct lease_grant *grant, struct error *err)
{
	struct lease *lease = leases_find(leases, grant->lease_id);
	struct db *db = leases->core->db;
	size_t i;
	int r;

	if (!lease)
		return fail(err, -ESRCH, "HOLDER_NOT_VISIBLE",
			"what was to hold the lease ended before the lease was whole");
	r = fold(db_use_environment(db, grant->hash, grant->owner, grant->components,
		grant->component_count, grant->layer_ids, grant->layer_count, lease->row.created,
		err));
	if (r == 0)
		r = fold(db_add_lease(db, &lease->row, grant->layer_ids, grant->layer_count, err));
	if (r == 0)
		r = add_interpreter(db, lease->row.id, grant, err);
	for (i = 0; i < grant->artifact_count && r == 0; i++)
		r = db_add_lease_artifact(db, lease->row.id, grant->artifacts[i].name,
			grant->artifacts[i].digest, err);
	return r;
}

/* In one transaction: all or none. */
static int add_rows(struct leases *leases, const struct list *grants, struct error *err)
{
	int r;

	r = db_begin(leases->core->db, err);
	if (r)
		return r;
	list_for_each (link, grants) {
		r = add_row(leases, container_of(link, struct lease_grant, link), err);
		if (r) {
			db_rollback(leases->core->db);
			return r;
		}
	}
	return db_commit(leases->core->db, err);
}

static void add_one_by_one(struct leases *leases, struct list *grants)
{
	struct list untried, alone, *link;

	list_init(&untried);
	list_init(&alone);
	list_take_all(&untried, grants);
	while ((link = list_pop(&untried))) {
		struct lease_grant *grant = container_of(link, struct lease_grant, link);

		list_add(&alone, link);
		add_rows(leases, &alone, &grant->err);
		list_take_all(grants, &alone);
	}
}

static void on_soon(struct timer *timer)
{
	struct leases *leases = container_of(timer, struct leases, soon);
	struct error err = { 0 };
	struct list grants, *link;

	list_init(&grants);
	list_take_all(&grants, &leases->recorded);
	if (add_rows(leases, &grants, &err))
		add_one_by_one(leases, &grants);
	/* Whoever is told may end others' waiting. */
	while ((link = list_pop(&grants))) {
		struct lease_grant *grant = container_of(link, struct lease_grant, link);

		log_debug("lease-recorded", "id=%s uid=%d hash=%.16s label='%s' reason=%s",
			grant->lease_id, (int)grant->peer->identity.uid, grant->hash,
			LOG_TEXT(grant->spec->label), grant->err.r ? grant->err.reason : "-");
		grant->done(grant, grant->err.r ? &grant->err : NULL);
	}
}

void leases_record(struct leases *leases, struct lease_grant *grant)
{
	grant->err = (struct error){ 0 };
	list_add(&leases->recorded, &grant->link);
	timer_set(leases->core->watch, &leases->soon, 0);
}

void leases_unrecord(struct lease_grant *grant)
{
	list_remove(&grant->link);
}

void leases_init_grants(struct leases *leases)
{
	list_init(&leases->recorded);
	leases->soon.fired = on_soon;
}
