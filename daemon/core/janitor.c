/*
 * Things to remove wait in one list. A batch takes those of one kind and owner,
 * and is one job; there is at most one batch of each kind and owner at a time, so
 * that a burst of releases becomes few processes, and somebody's huge directory
 * holds up nobody but its owner.
 *
 * A worker of the last daemon may still live, and hold the lock of the layer that it was
 * making: whoever removes that waits for it, be it for ever. So old layers have batches of
 * their own, and nobody waits for these, not even the end of the daemon.
 *
 * Whether something is gone is not taken from the worker's words but looked up.
 */
#include "daemon/core/janitor.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#define MAX_LEASES_A_BATCH 512
#define MAX_LAYERS_A_BATCH 8

enum kind {
	LEASE,
	LAYER,
	ARTIFACT,
};

struct item {
	struct list link; /* janitor.waiting, batch.items or janitor.leftovers */
	char *name, *why; /* owned */
	enum kind kind;
	bool is_old;
	uid_t uid;
	gid_t gid;
	struct janitor_waiter *waiter; /* borrowed; NULL: nobody */
};

struct batch {
	struct list link; /* janitor.batches */
	struct janitor *janitor;
	struct list items; /* of item.link */
	enum kind kind;
	bool is_old;
	struct identity owner;
	const char **names; /* owned; the names are the items' */
	struct job job;
};

struct janitor {
	struct core *core;
	struct list waiting; /* of item.link */
	struct list leftovers; /* of item.link */
	struct list batches; /* of batch.link */
	struct timer soon;
	bool is_recovering; /* what comes is old */
	const char **texts; /* owned; of leftovers */
};

static void item_free(struct item *item)
{
	list_remove(&item->link);
	free(item->name);
	free(item->why);
	free(item);
}

static void batch_free(struct batch *batch)
{
	list_remove(&batch->link);
	identity_deinit(&batch->owner);
	free(batch->names);
	free(batch);
}

static bool belongs(const struct batch *batch, const struct item *item)
{
	return batch->kind == item->kind && batch->is_old == item->is_old &&
		(item->kind != LEASE || batch->owner.uid == item->uid);
}

static bool is_busy(const struct janitor *janitor, const struct item *item)
{
	list_for_each (link, &janitor->batches)
		if (belongs(container_of(link, struct batch, link), item))
			return true;
	return false;
}

static int parent_fd(const struct janitor *janitor, enum kind kind)
{
	const struct tree *tree = janitor->core->tree;

	return kind == LAYER    ? tree_layers_fd(tree)
		: kind == LEASE ? tree_leases_fd(tree)
				: tree_artifacts_fd(tree);
}

static void keep_leftover(struct janitor *janitor, struct item *item, const char *why)
{
	static const char *const parts[] = {
		[LEASE] = "leases",
		[LAYER] = "layers",
		[ARTIFACT] = "artifacts",
	};

	free(item->why);
	item->why = text_format(
		"%s/%s/%s: %s", tree_path(janitor->core->tree), parts[item->kind], item->name, why);
	list_add(&janitor->leftovers, &item->link);
}

/* The directory is gone, or stays behind until the next try. */
static void settle(struct janitor *janitor, struct item *item, const char *why)
{
	struct janitor_waiter *waiter = STEAL(item->waiter);
	struct stat st;

	if (fstatat(parent_fd(janitor, item->kind), item->name, &st, AT_SYMLINK_NOFOLLOW) == 0) {
		keep_leftover(janitor, item, why);
	} else {
		if (item->kind == LAYER)
			db_delete_layer(janitor->core->db, item->name, NULL);
		item_free(item);
	}
	if (waiter)
		waiter->done(waiter);
}

static void on_done(
	struct job *job, int r, const struct job_result *result, const struct error *err)
{
	struct batch *batch = container_of(job, struct batch, job);
	struct janitor *janitor = batch->janitor;
	const char *why = r             ? err->text
		: result->failure_count ? result->failures[0]
					: "it is still there";
	struct list *link;

	list_remove(&batch->link);
	while ((link = list_pop(&batch->items)))
		settle(janitor, container_of(link, struct item, link), why);
	tree_keep_reserve(janitor->core->tree);
	batch_free(batch);
	if (!list_is_empty(&janitor->waiting))
		timer_set(janitor->core->watch, &janitor->soon, 0);
}

static struct batch *gather(struct janitor *janitor, const struct item *first)
{
	struct batch *batch = new0(struct batch);
	size_t limit = first->kind == LAYER ? MAX_LAYERS_A_BATCH : MAX_LEASES_A_BATCH, n = 0;

	batch->janitor = janitor;
	batch->kind = first->kind;
	batch->is_old = first->is_old;
	batch->owner = (struct identity){ .uid = first->uid, .gid = first->gid };
	batch->names = new0_array(const char *, limit);
	list_init(&batch->items);
	list_for_each_safe (link, &janitor->waiting) {
		struct item *item = container_of(link, struct item, link);

		if (n == limit || !belongs(batch, item))
			continue;
		list_remove(&item->link);
		list_add(&batch->items, &item->link);
		batch->names[n++] = item->name;
	}
	batch->job = (struct job){
		.kind = JOB_REMOVE,
		.peer = first->kind == LEASE ? &batch->owner : NULL,
		.remove = {
			.parent_fd = parent_fd(janitor, first->kind),
			.names = batch->names,
			.name_count = n,
			.as_peer = first->kind == LEASE,
			.layers = first->kind == LAYER,
			.threads = first->kind == LAYER ? janitor->core->config.threads : 1,
		},
		.done = on_done,
	};
	return batch;
}

static struct item *find_startable(struct janitor *janitor)
{
	list_for_each (link, &janitor->waiting) {
		struct item *item = container_of(link, struct item, link);

		if (!is_busy(janitor, item))
			return item;
	}
	return NULL;
}

static void on_soon(struct timer *timer)
{
	struct janitor *janitor = container_of(timer, struct janitor, soon);
	struct item *first;

	while ((first = find_startable(janitor))) {
		struct batch *batch = gather(janitor, first);

		if (pool_submit(janitor->core->pool, &batch->job, NULL)) {
			list_take_all(&janitor->waiting, &batch->items);
			batch_free(batch);
			timer_set(janitor->core->watch, &janitor->soon, 100);
			return;
		}
		list_add(&janitor->batches, &batch->link);
	}
}

static void add(struct janitor *janitor, struct item *item)
{
	list_add(&janitor->waiting, &item->link);
	/* The end of a batch looks at what waits by itself. */
	if (!is_busy(janitor, item))
		timer_set(janitor->core->watch, &janitor->soon, 0);
}

struct janitor *janitor_new(struct core *core)
{
	struct janitor *janitor = new0(struct janitor);

	janitor->core = core;
	list_init(&janitor->waiting);
	list_init(&janitor->leftovers);
	list_init(&janitor->batches);
	janitor->soon.fired = on_soon;
	return janitor;
}

struct janitor *janitor_free(struct janitor *janitor)
{
	if (!janitor)
		return NULL;
	timer_clear(&janitor->soon);
	list_for_each_safe (link, &janitor->waiting)
		item_free(container_of(link, struct item, link));
	list_for_each_safe (link, &janitor->leftovers)
		item_free(container_of(link, struct item, link));
	free(janitor->texts);
	free(janitor);
	return NULL;
}

void janitor_remove_layer(struct janitor *janitor, const char *id, struct janitor_waiter *waiter)
{
	struct item *item = new0(struct item);

	item->name = text_copy(id);
	item->kind = LAYER;
	item->is_old = janitor->is_recovering;
	item->waiter = waiter;
	add(janitor, item);
}

void janitor_remove_lease(struct janitor *janitor, const char *id, uid_t uid, gid_t gid)
{
	struct item *item = new0(struct item);

	item->name = text_copy(id);
	item->uid = uid;
	item->gid = gid;
	add(janitor, item);
}

void janitor_remove_artifact(struct janitor *janitor, const char *name)
{
	struct item *item = new0(struct item);

	item->name = text_copy(name);
	item->kind = ARTIFACT;
	add(janitor, item);
}

void janitor_recover(struct janitor *janitor, bool is_recovering)
{
	janitor->is_recovering = is_recovering;
}

void janitor_stop(struct janitor *janitor)
{
	list_for_each (link, &janitor->batches) {
		struct batch *batch = container_of(link, struct batch, link);

		if (batch->is_old)
			pool_cancel(janitor->core->pool, &batch->job);
	}
	list_for_each_safe (link, &janitor->waiting) {
		struct item *item = container_of(link, struct item, link);

		if (!item->is_old)
			continue;
		list_remove(link);
		keep_leftover(janitor, item, "left for the next start");
	}
}

void janitor_retry(struct janitor *janitor)
{
	if (list_is_empty(&janitor->leftovers))
		return;
	list_take_all(&janitor->waiting, &janitor->leftovers);
	timer_set(janitor->core->watch, &janitor->soon, 0);
}

bool janitor_is_idle(const struct janitor *janitor)
{
	return list_is_empty(&janitor->waiting) && list_is_empty(&janitor->batches);
}

const char *const *janitor_list_leftovers(struct janitor *janitor, size_t *count)
{
	size_t n = 0;

	free(janitor->texts);
	janitor->texts = new0_array(const char *, list_count(&janitor->leftovers));
	list_for_each (link, &janitor->leftovers)
		janitor->texts[n++] = container_of(link, struct item, link)->why;
	*count = n;
	return janitor->texts;
}
