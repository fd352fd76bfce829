#pragma once
/*
 * What has to be done now and then: making layers durable, writing the index's log
 * back, keeping below the limit of bytes, forgetting old digests. Loop thread only.
 */
#include "daemon/core/layers.h"

struct upkeep;

struct upkeep *upkeep_new(struct core *core, struct layers *layers, struct janitor *janitor);
struct upkeep *upkeep_free(struct upkeep *upkeep); /* no job of its is in flight */

/* A layer has become READY. */
void upkeep_on_layer(struct upkeep *upkeep);
/* The index's write-ahead log has this many pages. */
void upkeep_on_pages(struct upkeep *upkeep, int pages);

/* Removes what @limits chooses; the rows and their number in @ret (freed by the
 * caller), and the bytes of all layers before. With @dry_run only says so. */
struct upkeep_collected {
	struct db_layers layers; /* all idle ones; the first @count were chosen */
	size_t count;
	uint64_t total_bytes;
};

int upkeep_collect(struct upkeep *upkeep, uint64_t max_bytes, int64_t used_before, bool dry_run,
	struct upkeep_collected *ret, struct error *err);
/* Begins nothing new; a job in flight still ends. */
void upkeep_stop(struct upkeep *upkeep);
