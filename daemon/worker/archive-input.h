#pragma once
/* What the readers of archives get, and where they put it. Borrowed throughout. */
#include "daemon/worker/place.h"
#include "daemon/worker/report.h"
#include "daemon/worker/source.h"

struct archive_input {
	const struct source *source; /* mapped, not empty */
	struct place *place;
	struct report *report;
	uint32_t threads;
};
