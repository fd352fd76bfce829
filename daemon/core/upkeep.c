/*
 * Layers are published before they are durable (a create never waits for the disk), and
 * so are artifacts. A few seconds later one syncfs() makes all of them durable, and those
 * published before it began are marked.
 *
 * The index's log is written back by a worker, every few seconds at most: while it waits
 * for the disk, whoever makes directories there may wait as well. Under load that never
 * catches up with all that is written meanwhile, and a log that was not written back to its
 * end is not begun anew: so when it has become long, what little is left is written back
 * here. That waits for the disk, for some milliseconds in ten thousand creates.
 *
 * Above the limit, idle layers and artifacts go until a tenth of it is free again, so that not
 * every create has to collect.
 */
#include "daemon/core/upkeep.h"

#include "base/clock.h"
#include "base/log.h"

#define SYNC_AFTER_MS 5000
#define CHECKPOINT_PAGES 1000
#define CHECKPOINT_EVERY_MS 5000
#define TOO_MANY_PAGES 16384
#define DAY_MS (24 * 3600 * INT64_C(1000))
#define KEPT_DAYS 60

struct upkeep {
	struct core *core;
	struct layers *layers;
	struct artifacts *artifacts;
	struct janitor *janitor;
	struct timer sync_timer, checkpoint_timer, day_timer;
	struct job sync, checkpoint;
	int64_t sync_began;
	int pages; /* of the index's log, after the last commit */
	bool is_dirty, is_stopped;
	char *index_path;
};

static void on_synced(
	struct job *job, int r, const struct job_result *result, const struct error *err)
{
	struct upkeep *upkeep = container_of(job, struct upkeep, sync);
	struct error failed = { 0 };

	if (r)
		log_failure(LOG_LEVEL_WARNING, "sync-failed", err);
	else if (db_mark_durable(upkeep->core->db, upkeep->sync_began, &failed) ||
		db_mark_artifacts_durable(upkeep->core->db, upkeep->sync_began, &failed))
		log_failure(LOG_LEVEL_WARNING, "sync-failed", &failed);
	if (upkeep->is_dirty)
		upkeep_on_added(upkeep);
}

static void on_sync_timer(struct timer *timer)
{
	struct upkeep *upkeep = container_of(timer, struct upkeep, sync_timer);

	if (job_is_in_flight(&upkeep->sync))
		return;
	upkeep->is_dirty = false;
	upkeep->sync_began = clock_unix_ms();
	upkeep->sync = (struct job){
		.kind = JOB_SYNC,
		.sync_fd = tree_layers_fd(upkeep->core->tree),
		.done = on_synced,
	};
	if (pool_submit(upkeep->core->pool, &upkeep->sync, NULL))
		upkeep_on_added(upkeep);
}

static void on_checkpointed(
	struct job *job, int r, const struct job_result *result, const struct error *err)
{
	struct upkeep *upkeep = container_of(job, struct upkeep, checkpoint);

	if (r)
		log_failure(LOG_LEVEL_WARNING, "checkpoint-failed", err);
	else if (upkeep->pages > TOO_MANY_PAGES)
		db_checkpoint_rest(upkeep->core->db, NULL);
}

static void on_checkpoint_timer(struct timer *timer)
{
	struct upkeep *upkeep = container_of(timer, struct upkeep, checkpoint_timer);

	if (job_is_in_flight(&upkeep->checkpoint) || upkeep->is_stopped)
		return;
	upkeep->checkpoint = (struct job){
		.kind = JOB_CHECKPOINT,
		.checkpoint_path = upkeep->index_path,
		.done = on_checkpointed,
	};
	/* Refused: the next commit asks again. */
	pool_submit(upkeep->core->pool, &upkeep->checkpoint, NULL);
}

static void on_day(struct timer *timer)
{
	struct upkeep *upkeep = container_of(timer, struct upkeep, day_timer);

	timer_set(upkeep->core->watch, &upkeep->day_timer, DAY_MS);
	db_trim_digests(upkeep->core->db, clock_unix_ms() - KEPT_DAYS * DAY_MS, NULL);
	db_trim_environments(upkeep->core->db, clock_unix_ms() - KEPT_DAYS * DAY_MS, NULL);
	janitor_retry(upkeep->janitor);
}

static void keep_below_limit(struct upkeep *upkeep)
{
	uint64_t limit = upkeep->core->config.max_bytes;
	struct upkeep_collected collected = { 0 };
	struct db_totals totals;
	struct error err = { 0 };
	int r;

	if (!limit)
		return;
	r = db_get_totals(upkeep->core->db, &totals, &err);
	if (r == 0 && totals.layer_bytes + totals.artifact_bytes <= limit)
		return;
	if (r == 0)
		r = upkeep_collect(upkeep, limit - limit / 10, 0, false, &collected, &err);
	if (r)
		log_failure(LOG_LEVEL_WARNING, "collect-failed", &err);
	upkeep_collected_deinit(&collected);
}

void upkeep_on_added(struct upkeep *upkeep)
{
	if (upkeep->is_stopped)
		return;
	keep_below_limit(upkeep);
	upkeep->is_dirty = true;
	if (!timer_is_set(&upkeep->sync_timer) && !job_is_in_flight(&upkeep->sync))
		timer_set(upkeep->core->watch, &upkeep->sync_timer, SYNC_AFTER_MS);
}

void upkeep_on_pages(struct upkeep *upkeep, int pages)
{
	upkeep->pages = pages;
	if (pages >= CHECKPOINT_PAGES && !timer_is_set(&upkeep->checkpoint_timer))
		timer_set(upkeep->core->watch, &upkeep->checkpoint_timer, CHECKPOINT_EVERY_MS);
}

static int drop_layers(struct upkeep *upkeep, const struct collect_idle *idle, struct error *err)
{
	size_t i;
	int r;

	for (i = 0; i < idle->layer_count; i++) {
		const struct db_layer *layer = &idle->layers.rows[i];

		r = layers_condemn(upkeep->layers, layer->id, NULL, err);
		if (r)
			return r;
		upkeep->core->counters.layers_collected++;
		log_info("layer-collected", "id=%s bytes=%llu", layer->id,
			(unsigned long long)layer->bytes);
	}
	return 0;
}

static int drop_artifacts(struct upkeep *upkeep, const struct collect_idle *idle, struct error *err)
{
	size_t i;
	int r;

	for (i = 0; i < idle->artifact_count; i++) {
		const struct db_artifact *artifact = &idle->artifacts.rows[i];

		r = artifacts_condemn(upkeep->artifacts, artifact, err);
		if (r)
			return r;
		upkeep->core->counters.artifacts_collected++;
		log_info("artifact-collected", "sha256=%s uid=%u bytes=%llu", artifact->digest,
			(unsigned)artifact->uid, (unsigned long long)artifact->bytes);
	}
	return 0;
}

int upkeep_collect(struct upkeep *upkeep, uint64_t max_bytes, int64_t used_before, bool dry_run,
	struct upkeep_collected *ret, struct error *err)
{
	struct collect_limits limits = { max_bytes, used_before };
	struct core *core = upkeep->core;
	struct db_totals totals;
	int r;

	r = db_get_totals(core->db, &totals, err);
	if (r == 0)
		r = db_list_idle_layers(core->db, &ret->idle.layers, err);
	if (r == 0)
		r = db_list_idle_artifacts(core->db, &ret->idle.artifacts, err);
	if (r)
		return r;
	ret->total_bytes = totals.layer_bytes + totals.artifact_bytes;
	collect_choose(&ret->idle, layers_pins(upkeep->layers), artifacts_pins(upkeep->artifacts),
		ret->total_bytes, &limits);
	if (!dry_run)
		r = drop_layers(upkeep, &ret->idle, err);
	if (r == 0 && !dry_run)
		r = drop_artifacts(upkeep, &ret->idle, err);
	return r;
}

void upkeep_collected_deinit(struct upkeep_collected *collected)
{
	free(collected->idle.layers.rows);
	free(collected->idle.artifacts.rows);
	*collected = (struct upkeep_collected){ 0 };
}

void upkeep_stop(struct upkeep *upkeep)
{
	upkeep->is_stopped = true;
	timer_clear(&upkeep->sync_timer);
	timer_clear(&upkeep->checkpoint_timer);
	timer_clear(&upkeep->day_timer);
}

struct upkeep *upkeep_new(struct core *core, struct layers *layers, struct artifacts *artifacts,
	struct janitor *janitor)
{
	struct upkeep *upkeep = new0(struct upkeep);

	upkeep->core = core;
	upkeep->layers = layers;
	upkeep->artifacts = artifacts;
	upkeep->janitor = janitor;
	upkeep->index_path = text_format("%s/index.db", tree_path(core->tree));
	upkeep->sync_timer.fired = on_sync_timer;
	upkeep->checkpoint_timer.fired = on_checkpoint_timer;
	upkeep->day_timer.fired = on_day;
	timer_set(core->watch, &upkeep->day_timer, DAY_MS);
	return upkeep;
}

struct upkeep *upkeep_free(struct upkeep *upkeep)
{
	if (!upkeep)
		return NULL;
	upkeep_stop(upkeep);
	free(upkeep->index_path);
	free(upkeep);
	return NULL;
}
