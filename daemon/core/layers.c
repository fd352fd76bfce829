/*
 * Making a layer:
 *
 *	row PREPARING, directory -> job Extract -> row READY -> waiters are told
 *	                                |
 *	                                | failed, or nobody waits any more
 *	                                v
 *	                    row DELETING -> directory removed, row deleted -> waiters are told
 *
 * so that whoever hears of a failure finds nothing left of it.
 *
 * When an artifact's digest is not known and nothing known has its size, the layer
 * is begun without a key, and gets it in the middle, when the worker has the digest.
 * Until then it can be found by the file that it is made from: device, inode, size,
 * times, who reads it, and for what.
 */
#include "daemon/core/layers.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/log.h"
#include "base/map.h"
#include "daemon/core/hash.h"

struct layers {
	struct core *core;
	struct janitor *janitor; /* borrowed */
	struct digests *digests; /* borrowed */
	struct map by_source, by_key; /* of making */
	struct list makings; /* of making.link */
	struct pins pins;
	void (*ready)(void *data);
	void *ready_data;
};

struct making {
	struct list link; /* layers.makings */
	struct layers *layers;
	struct creation *creation; /* owned */
	struct map_node source_node; /* layers.by_source */
	struct map_node key_node; /* layers.by_key, once there is a key */
	char *source, *key_and_owner;
	struct list until_keyed; /* of layers_key_waiter.link */

	enum job_layer kind;
	char *path, *name;
	struct identity identity;
	char reader[SHA256_HEX_SIZE];
	struct fs_identity file;
	enum job_compile compile;

	struct db_layer layer;
	uint8_t expected[SHA256_SIZE];
	int directory_fd;
	char *directory, *header;
	struct job job;
	struct job_progress progress;
	int64_t started;
	struct error err;
	struct timer failed_early;
	struct janitor_waiter removed;
};

static char *format_key(const char *key, int64_t owner)
{
	return text_format("%s/%lld", key, (long long)owner);
}

static char *format_source(const struct layers_want *want)
{
	const struct fs_identity *f = &want->file;

	return text_format("%llx:%llx:%llu:%lld:%lld/%s/%s/%d/%lld/%s", (unsigned long long)f->dev,
		(unsigned long long)f->ino, (unsigned long long)f->size, (long long)f->mtime_ns,
		(long long)f->ctime_ns, want->peer->reader, hash_layer_kind(want->layer),
		(int)want->compile, (long long)want->owner, want->name ? want->name : "");
}

/* ---- the end of a making */

static void tell_keyed(struct making *making)
{
	struct list *link;

	while ((link = list_pop(&making->until_keyed))) {
		struct layers_key_waiter *waiter = container_of(
			link, struct layers_key_waiter, link);

		waiter->keyed(waiter);
	}
}

static void making_free(struct making *making)
{
	list_remove(&making->link);
	map_remove(&making->layers->by_source, &making->source_node);
	map_remove(&making->layers->by_key, &making->key_node);
	timer_clear(&making->failed_early);
	creation_free(making->creation);
	identity_deinit(&making->identity);
	cleanup_close(&making->directory_fd);
	free(making->source);
	free(making->key_and_owner);
	free(making->path);
	free(making->name);
	free(making->directory);
	free(making->header);
	free(making);
}

static void finish(struct making *making)
{
	struct layers *layers = making->layers;

	if (!creation_finish(making->creation, !making->err.r))
		return;
	map_remove(&layers->by_source, &making->source_node);
	map_remove(&layers->by_key, &making->key_node);
	list_remove(&making->link);
	tell_keyed(making);
	creation_announce(making->creation, making->err.r ? &making->err : NULL);
	making_free(making);
}

static void on_removed(struct janitor_waiter *waiter)
{
	finish(container_of(waiter, struct making, removed));
}

static void on_failed_early(struct timer *timer)
{
	finish(container_of(timer, struct making, failed_early));
}

/* @making->err says why. */
static void clean_up(struct making *making)
{
	making->layers->core->counters.layers_failed++;
	if (layers_condemn(making->layers, making->layer.id, &making->removed, NULL))
		timer_set(making->layers->core->watch, &making->failed_early, 0);
}

static int publish(struct making *making, const struct job_result *result, struct error *err)
{
	struct layers *layers = making->layers;
	int64_t now = clock_unix_ms();
	int r;

	making->layer.bytes = result->bytes;
	making->layer.entries = result->entries;
	r = fold(db_publish_layer(
		layers->core->db, making->layer.id, result->bytes, result->entries, now, err));
	if (r)
		return r;
	making->layer.state = LAYER_READY;
	layers->core->counters.layers_made++;
	return 0;
}

static void on_done(
	struct job *job, int r, const struct job_result *result, const struct error *err)
{
	struct making *making = container_of(job, struct making, job);
	struct layers *layers = making->layers;
	char id[LAYER_ID_LENGTH + 1];

	cleanup_close(&making->directory_fd);
	making->directory_fd = -1;
	/* An error from on_digested() comes first: it is why the job was cancelled. */
	if (r && !making->err.r)
		making->err = *err;
	if (!making->err.r)
		publish(making, result, &making->err);
	if (making->err.r) {
		clean_up(making);
		return;
	}
	/* Nothing may collect it before those who wait have pinned it. */
	memcpy(id, making->layer.id, sizeof(id));
	pins_add(&layers->pins, id);
	finish(making);
	pins_remove(&layers->pins, id);
	if (layers->ready)
		layers->ready(layers->ready_data);
}

/* ---- in the middle */

static void on_progress(struct job *job, const struct job_progress *progress)
{
	container_of(job, struct making, job)->progress = *progress;
}

static void set_key(struct making *making, const char *key, const char *digest)
{
	snprintf(making->layer.key, sizeof(making->layer.key), "%s", key);
	snprintf(making->layer.digest, sizeof(making->layer.digest), "%s", digest);
	making->key_and_owner = format_key(key, making->layer.owner);
	map_add(&making->layers->by_key, &making->key_node, making->key_and_owner);
}

static void on_digested(struct job *job, const struct job_result *result)
{
	struct making *making = container_of(job, struct making, job);
	struct db *db = making->layers->core->db;
	struct db_digest known = { .file = result->file };
	struct hash_layer what = { making->kind, making->name, known.sha256, making->compile };
	char key[SHA256_HEX_SIZE];
	int r;

	if (*making->layer.key)
		return;
	hex_format(result->sha256, SHA256_SIZE, known.sha256);
	hash_layer_key(&what, key);
	r = db_set_layer_key(
		db, making->layer.id, key, known.sha256, result->file.size, &making->err);
	if (r) {
		/* Somebody has made it from another file meanwhile, or the index fails:
		 * either way this one cannot be published. */
		if (r == DB_E_EXISTS)
			fail(&making->err, -EAGAIN, "SOURCE_CHANGED",
				"'%s' became the same as another artifact while it was read",
				making->path);
		pool_cancel(making->layers->core->pool, job);
		return;
	}
	digests_learn(making->layers->digests, &result->file, making->reader, known.sha256,
		making->started * 1000000);
	set_key(making, key, known.sha256);
	tell_keyed(making);
}

/* ---- the beginning */

static int add_row(struct making *making, struct error *err)
{
	struct core *core = making->layers->core;
	int r, tries = 0;

	do {
		random_id(making->layer.id, LAYER_ID_LENGTH);
		r = db_add_layer(core->db, &making->layer, err);
		if (r)
			continue;
		r = tree_make_layer(core->tree, making->layer.id, &making->directory_fd, err);
		if (r)
			db_delete_layer(core->db, making->layer.id, NULL);
	} while ((r == DB_E_EXISTS || r == TREE_E_EXISTS) && ++tries < 8);
	return r > 0 ? fail(err, -EEXIST, NULL, "found no free layer id") : r;
}

static char *format_header(const struct making *making)
{
	return text_format("pyenvd layer 1\nid %s\nkind %s\nowner %lld\ncompile %d\nsource %s",
		making->layer.id, making->layer.kind, (long long)making->layer.owner,
		(int)making->compile, LOG_TEXT(making->path));
}

static void fill_job(struct making *making)
{
	struct core *core = making->layers->core;
	bool has_digest = *making->layer.digest;

	if (has_digest && hex_parse(making->layer.digest, making->expected, SHA256_SIZE))
		abort();
	making->job = (struct job){
		.kind = JOB_EXTRACT,
		.peer = &making->identity,
		.extract = {
			.path = making->path,
			.expected = making->file,
			.layer = making->kind,
			.name = making->name,
			.hash = !has_digest,
			.expected_sha256 = has_digest ? making->expected : NULL,
			.copy_first = core->config.share_all,
			.access_all = core->config.share_all,
			.access_uid = making->identity.uid,
			.compile = making->compile,
			.limits = &core->config.limits,
			.threads = core->config.threads,
			.directory_fd = making->directory_fd,
			.directory = making->directory,
			.header = making->header,
		},
		.digested = on_digested,
		.progress = on_progress,
		.done = on_done,
	};
}

static int try_start(struct making *making, struct error *err)
{
	struct core *core = making->layers->core;
	int r;

	r = add_row(making, err);
	if (r) {
		making->layer.id[0] = 0;
		return r;
	}
	free(making->directory);
	free(making->header);
	making->directory = tree_layer_path(core->tree, making->layer.id);
	making->header = format_header(making);
	fill_job(making);
	r = pool_submit(core->pool, &making->job, err);
	if (r) {
		cleanup_close(&making->directory_fd);
		making->directory_fd = -1;
	}
	return r;
}

static void work_start(void *data)
{
	struct making *making = data;

	making->err = (struct error){ 0 };
	making->progress = (struct job_progress){ 0 };
	making->layer.state = LAYER_PREPARING;
	making->layer.id[0] = 0;
	making->directory_fd = -1;
	if (try_start(making, &making->err) == 0)
		return;
	if (*making->layer.id)
		clean_up(making);
	else
		timer_set(making->layers->core->watch, &making->failed_early, 0);
}

static void work_stop(void *data)
{
	struct making *making = data;

	pool_cancel(making->layers->core->pool, &making->job);
}

struct making *layers_make(struct layers *layers, const struct layers_want *want)
{
	static const struct creation_work work = { work_start, work_stop };
	struct making *making = new0(struct making);

	making->layers = layers;
	making->creation = creation_new(&work, making);
	making->kind = want->layer;
	making->path = text_copy(want->path);
	making->name = text_copy(want->name);
	identity_copy(&making->identity, &want->peer->identity);
	memcpy(making->reader, want->peer->reader, sizeof(making->reader));
	making->file = want->file;
	making->compile = want->compile;
	making->directory_fd = -1;
	making->started = clock_unix_ms();
	making->failed_early.fired = on_failed_early;
	making->removed.done = on_removed;
	list_init(&making->until_keyed);
	making->layer = (struct db_layer){
		.owner = want->owner,
		.artifact_bytes = want->file.size,
		.created = making->started,
	};
	snprintf(
		making->layer.kind, sizeof(making->layer.kind), "%s", hash_layer_kind(want->layer));
	snprintf(
		making->layer.name, sizeof(making->layer.name), "%s", want->name ? want->name : "");
	list_add(&layers->makings, &making->link);
	making->source = format_source(want);
	map_add(&layers->by_source, &making->source_node, making->source);
	if (want->key)
		set_key(making, want->key, want->digest);
	return making;
}

/* ---- finding */

struct making *layers_find_making(struct layers *layers, const char *key, int64_t owner)
{
	_cleanup_free_ char *text = format_key(key, owner);
	struct map_node *node = map_find(&layers->by_key, text);

	return node ? container_of(node, struct making, key_node) : NULL;
}

struct making *layers_find_making_from(struct layers *layers, const struct layers_want *want)
{
	_cleanup_free_ char *text = format_source(want);
	struct map_node *node = map_find(&layers->by_source, text);

	return node ? container_of(node, struct making, source_node) : NULL;
}

struct making *layers_find_making_of_size(struct layers *layers, uint64_t size)
{
	list_for_each (link, &layers->makings) {
		struct making *making = container_of(link, struct making, link);

		if (!*making->layer.key && making->file.size == size)
			return making;
	}
	return NULL;
}

struct creation *making_creation(struct making *making)
{
	return making->creation;
}

const struct db_layer *making_layer(const struct making *making)
{
	return &making->layer;
}

struct job_progress making_progress(const struct making *making)
{
	return making->progress;
}

void making_wait_for_key(struct making *making, struct layers_key_waiter *waiter)
{
	list_add(&making->until_keyed, &waiter->link);
}

void layers_key_waiter_leave(struct layers_key_waiter *waiter)
{
	list_remove(&waiter->link);
}

/* ---- the rest */

int layers_condemn(
	struct layers *layers, const char *id, struct janitor_waiter *waiter, struct error *err)
{
	int r;

	/* On a full disk even the row cannot be changed: then the reserve gives way, until
	 * what is being removed has made room for it again. */
	r = fold(db_condemn_layer(layers->core->db, id, err));
	if (r == -ENOSPC && tree_spend_reserve(layers->core->tree))
		r = fold(db_condemn_layer(layers->core->db, id, err));
	if (r)
		return r;
	janitor_remove_layer(layers->janitor, id, waiter);
	return 0;
}

void layers_on_ready(struct layers *layers, void (*ready)(void *data), void *data)
{
	layers->ready = ready;
	layers->ready_data = data;
}

void layers_visit(struct layers *layers,
	void (*visit)(const struct layers_making_info *info, void *data), void *data)
{
	list_for_each (link, &layers->makings) {
		struct making *making = container_of(link, struct making, link);
		struct layers_making_info info = {
			.id = making->layer.id,
			.path = making->path,
			.uid = making->identity.uid,
			.progress = making->progress,
			.waiters = creation_count_waiters(making->creation),
			.started = making->started,
			.pid = job_pid(&making->job),
		};

		visit(&info, data);
	}
}

size_t layers_count_making(const struct layers *layers)
{
	return list_count(&layers->makings);
}

struct pins *layers_pins(struct layers *layers)
{
	return &layers->pins;
}

struct layers *layers_new(struct core *core, struct janitor *janitor, struct digests *digests)
{
	struct layers *layers = new0(struct layers);

	layers->core = core;
	layers->janitor = janitor;
	layers->digests = digests;
	list_init(&layers->makings);
	return layers;
}

struct layers *layers_free(struct layers *layers)
{
	if (!layers)
		return NULL;
	map_deinit(&layers->by_source);
	map_deinit(&layers->by_key);
	pins_deinit(&layers->pins);
	free(layers);
	return NULL;
}
