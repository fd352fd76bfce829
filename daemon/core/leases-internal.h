#pragma once
/* Private to leases.c, which keeps leases, leases-grant.c, which makes them, and
 * leases-guardian.c. */
#include "base/list.h"
#include "base/map.h"
#include "daemon/core/endings.h"
#include "daemon/core/leases.h"
#include "daemon/core/processes.h"
#include "daemon/core/tally.h"

struct lease {
	struct list link; /* leases.all */
	struct map_node node; /* leases.map */
	struct leases *leases;
	struct db_lease row;
	struct processes_member holder; /* of leases.holders, if held by a process */
	struct processes_member guardian; /* of leases.guardians, if there is one */
	struct ending ending; /* once the guardian has ended */
	struct timer timer;
	struct lease_hold *hold; /* borrowed; NULL: nobody holds it by a stream now */
	unsigned deliveries; /* under way */
	bool is_delivered;
};

struct leases {
	struct core *core;
	struct janitor *janitor;
	struct list all; /* of lease.link */
	struct map map; /* of lease.node, by id */
	struct processes holders, guardians;
	struct endings *endings;
	struct tally tally; /* leases of each uid */
	struct list recorded; /* of lease_grant.link */
	struct timer soon; /* set while something is to be recorded */
	void (*ended)(void *data);
	void *ended_data;
};

/* A lease in memory; and without it. Row and directory are the caller's. */
struct lease *lease_new(struct leases *leases, const struct db_lease *row);
void lease_free(struct lease *lease);
int lease_watch_holder(struct lease *lease, struct error *err);

/* The guardian's end, if there is a guardian, will end the holder. */
int lease_watch_guardian(struct lease *lease, struct error *err);
/* The same of a lease that was there before the daemon; so it may be at once. */
void lease_resume_guardian(struct lease *lease);
void lease_on_guardian_gone(struct processes_member *member);

void leases_init_grants(struct leases *leases);
