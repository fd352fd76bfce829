#pragma once
/* Private to artifacts.c, which knows all artifacts, and artifacts-keep.c, which makes one. */
#include "base/map.h"
#include "daemon/core/artifacts.h"

struct artifacts {
	struct core *core;
	struct janitor *janitor; /* borrowed */
	struct pins pins;
	struct map keepings; /* of keeping.node */
	void (*added)(void *data);
	void *added_data;
};
