/*
 * Who holds a lease is watched by what fits its kind: a pidfd, a timer, or the
 * HoldLease stream itself. All leases of one process share one watch.
 *
 *	process      watched until it ends
 *	connection   waits (grace) -> held -> ended: released
 *	             ^ daemon restarts
 *	time         timer, set anew by renewal
 *
 * A process may have a guardian, too (leases-guardian.c).
 *
 * Nothing here counts references: what is in use is what the leases' rows say.
 */
#include <assert.h>
#include <errno.h>
#include "base/clock.h"
#include "base/log.h"
#include "daemon/core/leases-internal.h"

/* ---- holders */

static void on_holder_gone(struct processes_member *member)
{
	lease_release(container_of(member, struct lease, holder), LEASE_EXPIRED);
}

static int hold_by_process(struct lease *lease, struct error *err)
{
	const struct process process = { lease->row.pid, lease->row.pid_start };
	int r;

	r = processes_join(&lease->leases->holders, &process, &lease->holder, err);
	if (r == PROCESSES_E_GONE)
		return fail(err, -ESRCH, "HOLDER_NOT_VISIBLE",
			"process %d, which is to hold the lease, has ended", lease->row.pid);
	return r;
}

/* Timers of libevent are not made for a month at a time. */
#define LONGEST_TIMER_MS (24 * 3600 * INT64_C(1000))

static void set_timer(struct lease *lease)
{
	int64_t left = lease->row.expires - clock_unix_ms();

	left = left < 0 ? 0 : left > LONGEST_TIMER_MS ? LONGEST_TIMER_MS : left;
	timer_set(lease->leases->core->watch, &lease->timer, (uint64_t)left);
}

static void on_timer(struct timer *timer)
{
	struct lease *lease = container_of(timer, struct lease, timer);

	if (lease->row.holder == DB_HOLDER_TIME && lease->row.expires > clock_unix_ms())
		set_timer(lease);
	else
		lease_release(lease, LEASE_EXPIRED);
}

int lease_watch_holder(struct lease *lease, struct error *err)
{
	switch (lease->row.holder) {
	case DB_HOLDER_PROCESS:
		return hold_by_process(lease, err);
	case DB_HOLDER_CONNECTION:
		timer_set(lease->leases->core->watch, &lease->timer, lease->row.grace_ms);
		return 0;
	default:
		set_timer(lease);
		return 0;
	}
}

/* ---- life */

struct lease *lease_new(struct leases *leases, const struct db_lease *row)
{
	struct lease *lease = new0(struct lease);

	lease->leases = leases;
	lease->row = *row;
	lease->timer.fired = on_timer;
	map_add(&leases->map, &lease->node, lease->row.id);
	list_add(&leases->all, &lease->link);
	tally_add(&leases->tally, row->uid);
	return lease;
}

void lease_free(struct lease *lease)
{
	endings_remove(&lease->ending);
	processes_leave(&lease->guardian);
	processes_leave(&lease->holder);
	timer_clear(&lease->timer);
	map_remove(&lease->leases->map, &lease->node);
	list_remove(&lease->link);
	tally_remove(&lease->leases->tally, lease->row.uid);
	free(lease);
}

void lease_release(struct lease *lease, enum lease_end why)
{
	static const char *const words[] = {
		[LEASE_RELEASED] = "released",
		[LEASE_EXPIRED] = "expired",
		[LEASE_FAILED] = "failed",
	};
	struct core *core = lease->leases->core;
	struct lease_hold *hold = STEAL(lease->hold);
	struct error err = { 0 };
	int r;

	if (why == LEASE_RELEASED)
		core->counters.leases_released++;
	else if (why == LEASE_EXPIRED)
		core->counters.leases_expired++;
	r = db_delete_lease(core->db, lease->row.id, clock_unix_ms(), &err);
	if (r == -ENOSPC && tree_spend_reserve(core->tree))
		r = db_delete_lease(core->db, lease->row.id, clock_unix_ms(), &err);
	if (r < 0)
		log_failure(LOG_LEVEL_ERROR, "lease-not-deleted", &err);
	janitor_remove_lease(lease->leases->janitor, lease->row.id, lease->row.uid, lease->row.gid);
	log_debug("lease-ended", "id=%s why=%s", lease->row.id, words[why]);
	if (lease->leases->ended)
		lease->leases->ended(lease->leases->ended_data);
	lease_free(lease);
	if (hold) {
		hold->lease = NULL;
		hold->ended(hold);
	}
}

int leases_load(struct leases *leases, struct error *err)
{
	struct db_leases rows = { 0 };
	char after[LEASE_ID_LENGTH + 1] = "";
	size_t i, count;
	int r;

	do {
		r = db_list_leases(leases->core->db, after, 1000, -1, &rows, err);
		if (r)
			return r;
		count = rows.count;
		for (i = 0; i < count; i++) {
			struct lease *lease = lease_new(leases, &rows.rows[i]);
			struct error why = { 0 };

			lease->is_delivered = true;
			memcpy(after, rows.rows[i].id, sizeof(after));
			if (lease_watch_holder(lease, &why))
				lease_release(lease, LEASE_EXPIRED);
			else
				lease_resume_guardian(lease);
		}
		free(rows.rows);
		rows = (struct db_leases){ 0 };
	} while (count);
	return 0;
}

/* ---- what others do with them */

struct lease *leases_find(struct leases *leases, const char *id)
{
	struct map_node *node = map_find(&leases->map, id);

	return node ? container_of(node, struct lease, node) : NULL;
}

int leases_find_by_request(struct leases *leases, uid_t uid, const char *request_id,
	struct db_lease *ret, struct error *err)
{
	return db_find_lease_by_request(leases->core->db, uid, request_id, ret, err);
}

const char *lease_id(const struct lease *lease)
{
	return lease->row.id;
}

uid_t lease_uid(const struct lease *lease)
{
	return lease->row.uid;
}

int64_t lease_expires(const struct lease *lease)
{
	return lease->row.holder == DB_HOLDER_TIME ? lease->row.expires : 0;
}

void lease_begin_delivery(struct lease *lease)
{
	lease->deliveries++;
}

void leases_end_delivery(struct leases *leases, const char *id, bool delivered)
{
	struct lease *lease = leases_find(leases, id);

	if (!lease)
		return;
	lease->deliveries--;
	lease->is_delivered |= delivered;
	if (!lease->is_delivered && !lease->deliveries)
		lease_release(lease, LEASE_FAILED);
}

int lease_renew(struct lease *lease, uint32_t seconds, struct error *err)
{
	int64_t expires = clock_unix_ms() + (int64_t)seconds * 1000;
	int r;

	if (lease->row.holder != DB_HOLDER_TIME)
		return fail(err, -EBUSY, "HOLDER_MISMATCH",
			"lease '%s' is not held by a time-to-live", lease->row.id);
	r = fold(db_set_lease_expiry(lease->leases->core->db, lease->row.id, expires, err));
	if (r)
		return r;
	lease->row.expires = expires;
	set_timer(lease);
	return 0;
}

int lease_hold(struct lease *lease, struct lease_hold *hold, struct error *err)
{
	if (lease->row.holder != DB_HOLDER_CONNECTION)
		return fail(err, -EBUSY, "HOLDER_MISMATCH",
			"lease '%s' is not held by a connection", lease->row.id);
	if (lease->hold)
		return fail(err, -EBUSY, "HOLDER_MISMATCH",
			"another stream holds lease '%s' already", lease->row.id);
	timer_clear(&lease->timer);
	lease->hold = hold;
	lease->is_delivered = true;
	hold->lease = lease;
	return 0;
}

void lease_hold_end(struct lease_hold *hold, bool keep)
{
	struct lease *lease = STEAL(hold->lease);

	if (!lease)
		return;
	lease->hold = NULL;
	if (keep)
		timer_set(lease->leases->core->watch, &lease->timer, lease->row.grace_ms);
	else
		lease_release(lease, LEASE_EXPIRED);
}

void leases_on_end(struct leases *leases, void (*ended)(void *data), void *data)
{
	leases->ended = ended;
	leases->ended_data = data;
}

size_t leases_count(const struct leases *leases)
{
	return leases->map.count;
}

struct leases *leases_new(struct core *core, struct janitor *janitor)
{
	struct leases *leases = new0(struct leases);

	leases->core = core;
	leases->janitor = janitor;
	leases->endings = endings_new(core);
	leases->holders = (struct processes){ .watch = core->watch, .gone = on_holder_gone };
	leases->guardians = (struct processes){
		.watch = core->watch,
		.gone = lease_on_guardian_gone,
	};
	list_init(&leases->all);
	leases_init_grants(leases);
	return leases;
}

struct leases *leases_free(struct leases *leases)
{
	if (!leases)
		return NULL;
	assert(list_is_empty(&leases->recorded));
	timer_clear(&leases->soon);
	list_for_each_safe (link, &leases->all)
		lease_free(container_of(link, struct lease, link));
	map_deinit(&leases->map);
	processes_deinit(&leases->holders);
	processes_deinit(&leases->guardians);
	endings_free(leases->endings);
	tally_deinit(&leases->tally);
	free(leases);
	return NULL;
}
