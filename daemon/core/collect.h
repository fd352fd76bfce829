#pragma once
/* Which layers to drop. Pure: a list, limits and now in, a choice out. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "daemon/core/pins.h"
#include "daemon/store/db.h"

struct collect_limits {
	uint64_t max_bytes; /* stop when all layers together are not larger */
	int64_t used_before; /* only those last used before this; 0: any */
};

/* @idle: unleased layers, least recently used first; moves the chosen ones to the
 * front, in their order, and returns how many. @total: bytes of all layers. */
size_t collect_choose(struct db_layers *idle, const struct pins *pins, uint64_t total,
	const struct collect_limits *limits);
