/*
 * A harness is ended as one whose guardian has ended: as its user, and with its process group
 * (endings.h). Its lease ends with it, while others of the group may still have their grace
 * time; whoever waits is told when all are gone.
 *
 * Ids are what a runner calls its workers, and runners count: two of them on one host have the
 * same ones. So an id means one of the caller's own, and nobody ends another's by it.
 */
#include <stdio.h>
#include "daemon/core/harness-internal.h"

struct stopping {
	struct list link; /* harnesses.stopping */
	struct harnesses *harnesses;
	struct harness_stop *stop; /* borrowed; NULL: nobody waits */
	struct ending ending;
	char lease_id[LEASE_ID_LENGTH + 1];
};

static void stopping_free(struct stopping *stopping)
{
	if (stopping->stop)
		stopping->stop->stopping = NULL;
	endings_remove(&stopping->ending);
	list_remove(&stopping->link);
	free(stopping);
}

static void on_ended(struct ending *ending, int r, const struct error *err)
{
	struct stopping *stopping = container_of(ending, struct stopping, ending);
	struct lease *lease = leases_find(stopping->harnesses->leases, stopping->lease_id);
	struct harness_stop *stop = stopping->stop;

	stopping_free(stopping);
	if (r == 0 && lease)
		lease_release(lease, LEASE_RELEASED);
	if (stop)
		stop->done(stop, r ? err : NULL);
}

void harness_stop_lease(
	struct harnesses *harnesses, const struct lease *lease, struct harness_stop *stop)
{
	struct stopping *stopping = new0(struct stopping);

	stopping->harnesses = harnesses;
	stopping->stop = stop;
	if (stop)
		stop->stopping = stopping;
	snprintf(stopping->lease_id, sizeof(stopping->lease_id), "%s", lease_id(lease));
	stopping->ending = lease_ending(lease);
	/* The lease may be gone first. */
	stopping->ending.lease = stopping->lease_id;
	stopping->ending.ended = on_ended;
	list_add(&harnesses->stopping, &stopping->link);
	endings_add(harnesses->endings, &stopping->ending);
}

bool harness_stop(struct harnesses *harnesses, const struct peer *peer, const char *id,
	struct harness_stop *stop)
{
	struct lease *lease = leases_find_guarded(harnesses->leases, peer, HARNESS_REQUEST, id);

	stop->stopping = NULL;
	if (lease)
		harness_stop_lease(harnesses, lease, stop);
	return lease != NULL;
}

void harness_stop_leave(struct harness_stop *stop)
{
	if (stop->stopping)
		stop->stopping->stop = NULL;
	stop->stopping = NULL;
}

void harness_forget_stops(struct harnesses *harnesses)
{
	while (!list_is_empty(&harnesses->stopping))
		stopping_free(container_of(harnesses->stopping.next, struct stopping, link));
}
