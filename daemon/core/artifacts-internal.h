#pragma once
/* Private to artifacts.c, which knows all artifacts, and artifacts-keep.c, which makes one. */
#include "daemon/core/artifacts.h"
#include "daemon/core/flight.h"

struct artifacts {
	struct core *core;
	struct janitor *janitor; /* borrowed */
	struct pins pins;
	struct flights keepings; /* of keeping.flight */
	void (*added)(void *data);
	void *added_data;
};
