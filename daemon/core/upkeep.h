#pragma once
/*
 * What has to be done now and then: making layers durable, writing the index's log
 * back, keeping below the limit of bytes, forgetting old digests. Loop thread only.
 */
#include "daemon/core/artifacts.h"
#include "daemon/core/collect.h"
#include "daemon/core/layers.h"

struct upkeep;

struct upkeep *upkeep_new(struct core *core, struct layers *layers, struct artifacts *artifacts,
	struct janitor *janitor);
struct upkeep *upkeep_free(struct upkeep *upkeep); /* no job of its is in flight */

/* A layer has become READY, or an artifact was added. */
void upkeep_on_added(struct upkeep *upkeep);
/* The index's write-ahead log has this many pages. */
void upkeep_on_pages(struct upkeep *upkeep, int pages);

/* Removes what @limits chooses; the rows in @ret (freed by upkeep_collected_deinit()), and
 * the bytes of all layers and artifacts before. With @dry_run only says so. */
struct upkeep_collected {
	struct collect_idle idle;
	uint64_t total_bytes;
};

void upkeep_collected_deinit(struct upkeep_collected *collected);

int upkeep_collect(struct upkeep *upkeep, uint64_t max_bytes, int64_t used_before, bool dry_run,
	struct upkeep_collected *ret, struct error *err);
/* Begins nothing new; a job in flight still ends. */
void upkeep_stop(struct upkeep *upkeep);
