/* All creates that are under way, and how far they are. */
#include <assert.h>
#include <errno.h>
#include "base/clock.h"
#include "daemon/core/create-work.h"

void creates_visit(struct creates *creates,
	void (*visit)(const struct create_info *info, void *data), void *data)
{
	list_for_each (link, &creates->list) {
		struct create_work *work = container_of(link, struct create_work, link);
		struct create_info info = { .id = work->id, .started = work->started };

		if (!work->create)
			continue;
		info.hash = work->create->result.hash;
		info.label = work->create->spec->label;
		info.uid = work->create->peer->identity.uid;
		visit(&info, data);
	}
}

uint64_t create_work_resolved_us(const struct create_work *work)
{
	uint64_t us = 0;
	size_t i;

	for (i = 0; i < work->input_count; i++)
		us = work->inputs[i].joined_us > us ? work->inputs[i].joined_us : us;
	return us ? us : clock_now_us();
}

void create_work_tell_progress(struct create_work *work)
{
	const struct spec *spec = work->create->spec;
	size_t i;

	for (i = 0; i < work->input_count; i++) {
		struct create_progress progress = {
			.source = work->inputs[i].path,
			.progress = input_progress(&work->inputs[i]),
		};

		if (!work->inputs[i].is_ready || work->inputs[i].is_being_kept)
			work->create->progress(work->create, &progress);
	}
	if (spec->requirements.path && !work->install.is_ready) {
		struct create_progress progress = {
			.source = spec->requirements.path,
			.progress = create_install_progress(work),
		};

		work->create->progress(work->create, &progress);
	}
}

int creates_check_count(const struct creates *creates, const struct peer *peer, struct error *err)
{
	uint32_t count = 0, limit = creates->core->config.max_creates;

	list_for_each (link, &creates->list) {
		const struct create *other = container_of(link, struct create_work, link)->create;

		count += other && other->peer->identity.uid == peer->identity.uid;
	}
	if (limit && count >= limit)
		return fail(err, -ENOSPC, "TOO_MANY", "uid %d has %u creates in flight already",
			(int)peer->identity.uid, count);
	return 0;
}

size_t creates_count(const struct creates *creates)
{
	return list_count(&creates->list);
}

struct creates *creates_new(struct core *core, struct digests *digests, struct probes *probes,
	struct readings *readings, struct layers *layers, struct leases *leases,
	struct artifacts *artifacts)
{
	struct creates *creates = new0(struct creates);

	creates->core = core;
	creates->digests = digests;
	creates->probes = probes;
	creates->readings = readings;
	creates->artifacts = artifacts;
	creates->layers = layers;
	creates->leases = leases;
	list_init(&creates->list);
	return creates;
}

struct creates *creates_free(struct creates *creates)
{
	if (!creates)
		return NULL;
	assert(list_is_empty(&creates->list));
	map_deinit(&creates->by_request);
	free(creates);
	return NULL;
}
