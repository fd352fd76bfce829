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
#include <errno.h>
#include <stdio.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/log.h"
#include "proto/hash.h"
#include "daemon/core/layers-internal.h"

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
	making_install_free(making->install);
	identity_deinit(&making->identity);
	cleanup_close(&making->directory_fd);
	cleanup_close(&making->source_fd);
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
	making_refresh_forget(making);
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

/* @making->err says why, unless there is a better one. */
static void clean_up(struct making *making)
{
	making->layers->core->counters.layers_failed += !making->is_kept;
	if (layers_condemn(making->layers, making->layer.id, &making->removed, NULL))
		timer_set(making->layers->core->watch, &making->failed_early, 0);
}

static int write_rows(struct making *making, struct error *err)
{
	struct db *db = making->layers->core->db;
	int r;

	r = db_begin(db, err);
	if (r)
		return r;
	r = making_refresh_publish(making, err);
	if (r == 0)
		r = db_publish_layer(db, &making->layer, clock_unix_ms(), err);
	if (r == 0 && making->install)
		r = making_install_publish(making, err);
	if (r == 0)
		return db_commit(db, err);
	db_rollback(db);
	return r;
}

static int publish(struct making *making, struct error *err)
{
	struct layers *layers = making->layers;
	int r;

	r = write_rows(making, err);
	if (r)
		return r;
	making->layer.state = LAYER_READY;
	layers->core->counters.layers_made++;
	return 0;
}

void making_end(struct making *making, const struct job_result *result)
{
	struct layers *layers = making->layers;
	char id[LAYER_ID_LENGTH + 1];

	if (!making->err.r) {
		making->layer.bytes = result->bytes;
		making->layer.entries = result->entries;
		making->layer.shared_bytes = result->shared_bytes;
		if (making_refresh_end(making, &making->err) == 0 && !making->is_kept)
			publish(making, &making->err);
	}
	if (making->err.r || making->is_kept) {
		clean_up(making);
		return;
	}
	if (*result->note)
		log_info("layer-note", "id=%s text='%s'", making->layer.id, LOG_TEXT(result->note));
	/* Nothing may collect it before those who wait have pinned it. */
	memcpy(id, making->layer.id, sizeof(id));
	pins_add(&layers->pins, id);
	finish(making);
	pins_remove(&layers->pins, id);
	if (layers->ready)
		layers->ready(layers->ready_data);
}

static void on_done(
	struct job *job, int r, const struct job_result *result, const struct error *err)
{
	struct making *making = container_of(job, struct making, job);

	cleanup_close(&making->directory_fd);
	making->directory_fd = -1;
	/* An error from on_digested() comes first: it is why the job was cancelled. */
	if (r && !making->err.r)
		making->err = *err;
	making_end(making, result);
}

/* ---- in the middle */

void making_on_progress(struct job *job, const struct job_progress *progress)
{
	container_of(job, struct making, job)->progress = *progress;
}

static void set_key(struct making *making, const char *key, const char *digest)
{
	snprintf(making->layer.key, sizeof(making->layer.key), "%s", key);
	snprintf(making->layer.digest, sizeof(making->layer.digest), "%s", digest);
	making->key_and_owner = layers_format_key(key, making->layer.owner);
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
	struct db_layer row;
	int r, tries = 0;

	do {
		random_id(making->layer.id, LAYER_ID_LENGTH);
		row = making->layer;
		if (making->is_refresh)
			row.key[0] = 0;
		r = db_add_layer(core->db, &row, err);
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
	return text_format(
		"pyenvd layer 1\nid %s\nkind %s\nowner %lld\ncompile %d\ncreated %lld\nsource %s",
		making->layer.id, making->layer.kind, (long long)making->layer.owner,
		(int)making->compile, (long long)clock_unix_ms(), LOG_TEXT(making->path));
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
			.has_source = making->source_fd >= 0,
			.source_fd = making->source_fd,
			.copy_first = core->config.share_all && making->source_fd < 0,
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
		.progress = making_on_progress,
		.done = on_done,
	};
}

int making_try_start(struct making *making, struct error *err)
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
	if (making->install)
		r = making_install_fill_job(making, err);
	else
		fill_job(making);
	if (r == 0)
		r = pool_submit(core->pool, &making->job, err);
	if (r) {
		cleanup_close(&making->directory_fd);
		making->directory_fd = -1;
	}
	return r;
}

void making_fail_to_start(struct making *making)
{
	if (*making->layer.id)
		clean_up(making);
	else
		timer_set(making->layers->core->watch, &making->failed_early, 0);
}

static void work_start(void *data)
{
	struct making *making = data;

	making_refresh_forget(making);
	making->err = (struct error){ 0 };
	making->progress = (struct job_progress){ 0 };
	making->layer.state = LAYER_PREPARING;
	making->layer.id[0] = 0;
	making->directory_fd = -1;
	if (making->install)
		making_install_start(making);
	else if (making_try_start(making, &making->err))
		making_fail_to_start(making);
}

static void work_stop(void *data)
{
	struct making *making = data;

	if (making->install)
		making_install_stop(making);
	else
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
	making->is_refresh = want->refresh;
	making->directory_fd = -1;
	making->source_fd = want->has_source ? want->source_fd : -1;
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
	making->source = layers_format_source(want);
	map_add(&layers->by_source, &making->source_node, making->source);
	if (want->key)
		set_key(making, want->key, want->digest);
	if (want->install)
		making->install = making_install_new(making, want->install);
	return making;
}
