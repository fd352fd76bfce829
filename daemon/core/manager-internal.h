#pragma once
/* Private to manager.c and manager-*.c. */
#include "daemon/core/manager.h"
#include "daemon/core/superseded.h"
#include "daemon/core/upkeep.h"

struct manager {
	struct core *core; /* borrowed */
	struct janitor *janitor;
	struct digests *digests;
	struct probes *probes;
	struct readings *readings;
	struct slots *slots;
	struct layers *layers;
	struct artifacts *artifacts;
	struct uploads *uploads;
	struct leases *leases;
	struct creates *creates;
	struct harnesses *harnesses;
	struct explains *explains;
	struct upkeep *upkeep;
	struct superseded *superseded;
	int64_t started;
	bool is_draining;
};

/* Whether what is that user's is the peer's to see and to end. */
bool manager_may_touch(const struct peer *peer, uid_t uid);
