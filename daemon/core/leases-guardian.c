/*
 * A guardian is a process, not the holder, that the holder is not to outlive: for a Python
 * worker its TaskManager. A holder that is killed takes its lease along; but a worker whose
 * TaskManager was killed is told nothing, and lives, and leases, for ever. So the guardian is
 * watched like a holder, and when it has ended, the holder is ended, and with that the lease.
 *
 * Only the holder's own user could have named it, and only as that user it is ended: nothing
 * happens that this user could not have done.
 *
 * Whom a request names is looked up when it comes. All that is prepared for it may take
 * minutes, and by then the number could be another's.
 *
 * A caller in a container numbers processes in its own way. Of these only its ancestors are
 * known to us in both ways, and a TaskManager is one: also as process 1 of its container.
 */
#include <errno.h>
#include "base/log.h"
#include "daemon/core/leases-internal.h"

static int check_pids(pid_t guardian, pid_t holder, struct error *err)
{
	if (guardian == 1)
		return fail(err, -EINVAL, "REQUEST_INVALID",
			"guardian: process 1 guards nobody: it is the parent of those who have "
			"lost theirs");
	if (guardian == holder)
		return fail(err, -EINVAL, "REQUEST_INVALID",
			"guardian: process %d is the one that is to hold the lease", (int)guardian);
	if (holder == 1)
		return fail(err, -EINVAL, "REQUEST_INVALID",
			"guardian: process 1, which is to hold the lease, cannot be ended");
	return 0;
}

/* Its number by us. */
static int find_pid(const struct spec *spec, const struct peer *peer, pid_t *ret, struct error *err)
{
	int r = WATCH_E_GONE;

	*ret = spec->guardian_pid;
	if (peer->process.pid && !peer->is_nested)
		return 0;
	if (peer->process.pid && !spec->holder_pid)
		r = process_find_ancestor(peer->process.pid, spec->guardian_pid, ret);
	if (r)
		return fail(err, -ESRCH, "HOLDER_NOT_VISIBLE",
			"guardian: the caller lives in another pid namespace, where the daemon "
			"does not see process %d among its parents",
			spec->guardian_pid);
	return 0;
}

int leases_find_guardian(
	const struct spec *spec, const struct peer *peer, struct process *ret, struct error *err)
{
	pid_t pid;
	int r;

	if (!spec->guardian_pid)
		return 0;
	r = find_pid(spec, peer, &pid, err);
	if (r == 0)
		r = check_pids(pid, spec->holder_pid ? spec->holder_pid : peer->process.pid, err);
	if (r == 0)
		r = process_find(pid, peer->identity.uid, ret, NULL, err);
	if (r == WATCH_E_GONE)
		return fail(err, -ESRCH, "HOLDER_NOT_VISIBLE", "guardian: there is no process %d",
			spec->guardian_pid);
	if (r == WATCH_E_FOREIGN)
		return fail(err, -EPERM, "NOT_ALLOWED", "guardian: process %d is not of uid %d",
			spec->guardian_pid, (int)peer->identity.uid);
	return r;
}

struct ending lease_ending(const struct lease *lease)
{
	return (struct ending){
		.process = { lease->row.pid, lease->row.pid_start },
		.uid = lease->row.uid,
		.gid = lease->row.gid,
		.lease = lease->row.id,
	};
}

static bool is_guarded_by(const struct db_lease *row, const struct peer *peer)
{
	return row->uid == peer->identity.uid && row->guardian_pid == peer->process.pid &&
		row->guardian_start == peer->process.start;
}

struct lease *leases_find_guarded(
	struct leases *leases, const struct peer *peer, const char *request, const char *label)
{
	struct lease *ret = NULL;

	list_for_each (link, &leases->all) {
		struct lease *lease = container_of(link, struct lease, link);
		const struct db_lease *row = &lease->row;

		if (is_guarded_by(row, peer) && text_starts_with(row->request_id, request) &&
			text_equal(row->label, label))
			ret = lease;
	}
	return ret;
}

static void end_holder(struct lease *lease)
{
	log_info("guardian-ended", "lease=%s guardian=%d holder=%d uid=%d label='%s'",
		lease->row.id, lease->row.guardian_pid, lease->row.pid, (int)lease->row.uid,
		LOG_TEXT(lease->row.label));
	lease->ending = lease_ending(lease);
	endings_add(lease->leases->endings, &lease->ending);
}

void lease_on_guardian_gone(struct processes_member *member)
{
	end_holder(container_of(member, struct lease, guardian));
}

static int watch(struct lease *lease, struct error *err)
{
	const struct process process = { lease->row.guardian_pid, lease->row.guardian_start };

	return processes_join(&lease->leases->guardians, &process, &lease->guardian, err);
}

int lease_watch_guardian(struct lease *lease, struct error *err)
{
	int r = lease->row.guardian_pid ? watch(lease, err) : 0;

	if (r == PROCESSES_E_GONE)
		return fail(err, -ESRCH, "HOLDER_NOT_VISIBLE", "guardian: process %d has ended",
			lease->row.guardian_pid);
	return r;
}

void lease_resume_guardian(struct lease *lease)
{
	struct error err = { 0 };
	int r = lease->row.guardian_pid ? watch(lease, &err) : 0;

	if (r == PROCESSES_E_GONE)
		end_holder(lease);
	else if (r)
		log_failure(LOG_LEVEL_ERROR, "guardian-not-watched", &err);
}
