/*
 * Looked for when the loop comes to it, once for all leases that ended until then. One that
 * is pinned is about to be leased, and looked for again when that lease ends.
 */
#include "daemon/core/superseded.h"

#include "base/log.h"

struct superseded {
	struct core *core;
	struct layers *layers;
	struct timer timer;
	bool is_stopped;
};

static int drop(struct superseded *superseded, const struct db_layers *list, struct error *err)
{
	size_t i;
	int r = 0;

	for (i = 0; i < list->count && r == 0; i++) {
		const struct db_layer *layer = &list->rows[i];

		if (pins_has(layers_pins(superseded->layers), layer->id))
			continue;
		r = layers_condemn(superseded->layers, layer->id, NULL, err);
		if (r)
			break;
		superseded->core->counters.layers_collected++;
		log_info("layer-superseded", "id=%s bytes=%llu", layer->id,
			(unsigned long long)layer->bytes);
	}
	return r;
}

static void on_timer(struct timer *timer)
{
	struct superseded *superseded = container_of(timer, struct superseded, timer);
	struct db_layers list = { 0 };
	struct error err = { 0 };
	int r;

	r = db_list_superseded_layers(superseded->core->db, &list, &err);
	if (r == 0)
		r = drop(superseded, &list, &err);
	if (r)
		log_failure(LOG_LEVEL_WARNING, "superseded-not-removed", &err);
	free(list.rows);
}

void superseded_check(struct superseded *superseded)
{
	if (!superseded->is_stopped && !timer_is_set(&superseded->timer))
		timer_set(superseded->core->watch, &superseded->timer, 0);
}

void superseded_stop(struct superseded *superseded)
{
	superseded->is_stopped = true;
	timer_clear(&superseded->timer);
}

struct superseded *superseded_new(struct core *core, struct layers *layers)
{
	struct superseded *superseded = new0(struct superseded);

	superseded->core = core;
	superseded->layers = layers;
	superseded->timer.fired = on_timer;
	superseded_check(superseded);
	return superseded;
}

struct superseded *superseded_free(struct superseded *superseded)
{
	if (!superseded)
		return NULL;
	superseded_stop(superseded);
	free(superseded);
	return NULL;
}
