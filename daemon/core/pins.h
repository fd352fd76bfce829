#pragma once
/*
 * Layers and artifacts that somebody is about to lease: they must not be collected. Counted.
 * Zeroed is empty. Loop thread only.
 */
#include <stdbool.h>
#include "base/map.h"

struct pins {
	struct map map; /* of struct pin, by layer id */
};

void pins_deinit(struct pins *pins);
void pins_add(struct pins *pins, const char *layer_id);
void pins_remove(struct pins *pins, const char *layer_id); /* one that was added */
bool pins_has(const struct pins *pins, const char *layer_id);
