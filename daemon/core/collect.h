#pragma once
/* What to drop: layers and artifacts. Pure: lists, limits and now in, a choice out. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "daemon/core/pins.h"
#include "daemon/store/db.h"

struct collect_limits {
	uint64_t max_bytes; /* stop when all together is not larger */
	int64_t used_before; /* only those last used before this; 0: any */
};

/* What nobody leases, and how much of it was chosen. */
struct collect_idle {
	/* Least recently used first. */
	struct db_layers layers;
	struct db_artifacts artifacts;
	size_t layer_count, artifact_count; /* out: those in front */
};

/* Chooses the least recently used, of both kinds; moves the chosen ones to the front, in
 * their order. @total: bytes of all layers and artifacts. */
void collect_choose(struct collect_idle *idle, const struct pins *layers,
	const struct pins *artifacts, uint64_t total, const struct collect_limits *limits);
