#pragma once
/* Private to harness.c, which starts them, and harness-stop.c. */
#include "base/list.h"
#include "daemon/core/endings.h"
#include "daemon/core/harness.h"

/* In front of the request ids of their leases; the pid follows, so that each has its own. */
#define HARNESS_REQUEST "beam-worker/"

struct harnesses {
	struct core *core;
	struct creates *creates;
	struct leases *leases;
	struct endings *endings;
	struct list starting; /* of harness.link */
	struct list stopping; /* of stopping.link */
};

/* Ends the holder of this lease, and with it the lease. @stop NULL: nobody waits. */
void harness_stop_lease(
	struct harnesses *harnesses, const struct lease *lease, struct harness_stop *stop);
/* Nobody waits for those that are being stopped, nor are they waited for. */
void harness_forget_stops(struct harnesses *harnesses);
