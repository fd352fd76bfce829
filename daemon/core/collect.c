#include "daemon/core/collect.h"

#include "daemon/core/artifacts.h"

struct choosing {
	struct collect_idle *idle;
	const struct pins *layers, *artifacts;
	const struct collect_limits *limits;
	uint64_t total;
};

static bool may_go(const struct choosing *choosing, int64_t used)
{
	return !choosing->limits->used_before || used < choosing->limits->used_before;
}

static void count_off(struct choosing *choosing, uint64_t bytes)
{
	choosing->total -= bytes < choosing->total ? bytes : choosing->total;
}

static void take_layer(struct choosing *choosing, size_t i)
{
	struct collect_idle *idle = choosing->idle;
	struct db_layer layer = idle->layers.rows[i];

	if (!may_go(choosing, layer.used) || pins_has(choosing->layers, layer.id))
		return;
	count_off(choosing, layer.bytes);
	idle->layers.rows[i] = idle->layers.rows[idle->layer_count];
	idle->layers.rows[idle->layer_count++] = layer;
}

static void take_artifact(struct choosing *choosing, size_t i)
{
	struct collect_idle *idle = choosing->idle;
	struct db_artifact artifact = idle->artifacts.rows[i];
	char name[ARTIFACT_NAME_SIZE];

	artifact_format_name(artifact.digest, artifact.uid, name);
	if (!may_go(choosing, artifact.used) || pins_has(choosing->artifacts, name))
		return;
	count_off(choosing, artifact.bytes);
	idle->artifacts.rows[i] = idle->artifacts.rows[idle->artifact_count];
	idle->artifacts.rows[idle->artifact_count++] = artifact;
}

void collect_choose(struct collect_idle *idle, const struct pins *layers,
	const struct pins *artifacts, uint64_t total, const struct collect_limits *limits)
{
	struct choosing choosing = { idle, layers, artifacts, limits, total };
	size_t i = 0, j = 0;

	idle->layer_count = idle->artifact_count = 0;
	while (choosing.total > limits->max_bytes &&
		(i < idle->layers.count || j < idle->artifacts.count)) {
		if (j == idle->artifacts.count ||
			(i < idle->layers.count &&
				idle->layers.rows[i].used <= idle->artifacts.rows[j].used))
			take_layer(&choosing, i++);
		else
			take_artifact(&choosing, j++);
	}
}
