#include "daemon/core/collect.h"

size_t collect_choose(struct db_layers *idle, const struct pins *pins, uint64_t total,
	const struct collect_limits *limits)
{
	size_t i, chosen = 0;

	for (i = 0; i < idle->count && total > limits->max_bytes; i++) {
		struct db_layer layer = idle->rows[i];

		if (limits->used_before && layer.used >= limits->used_before)
			continue;
		if (pins_has(pins, layer.id))
			continue;
		total -= layer.bytes < total ? layer.bytes : total;
		idle->rows[i] = idle->rows[chosen];
		idle->rows[chosen++] = layer;
	}
	return chosen;
}
