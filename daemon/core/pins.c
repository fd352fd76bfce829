#include "daemon/core/pins.h"

#include <assert.h>
#include "base/util.h"

struct pin {
	struct map_node node; /* pins.map */
	char *id; /* owned */
	size_t count;
};

static struct pin *find(const struct pins *pins, const char *layer_id)
{
	struct map_node *node = map_find(&pins->map, layer_id);

	return node ? container_of(node, struct pin, node) : NULL;
}

void pins_add(struct pins *pins, const char *layer_id)
{
	struct pin *pin = find(pins, layer_id);

	if (!pin) {
		pin = new0(struct pin);
		pin->id = text_copy(layer_id);
		map_add(&pins->map, &pin->node, pin->id);
	}
	pin->count++;
}

void pins_remove(struct pins *pins, const char *layer_id)
{
	struct pin *pin = find(pins, layer_id);

	assert(pin);
	if (--pin->count)
		return;
	map_remove(&pins->map, &pin->node);
	free(pin->id);
	free(pin);
}

bool pins_has(const struct pins *pins, const char *layer_id)
{
	return find(pins, layer_id) != NULL;
}

void pins_deinit(struct pins *pins)
{
	assert(pins->map.count == 0);
	map_deinit(&pins->map);
}
