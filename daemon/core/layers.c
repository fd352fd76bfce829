/* The layers that are being made, and how to find them; and what all layers share. */
#include <errno.h>
#include "proto/hash.h"
#include "daemon/core/layers-internal.h"

char *layers_format_key(const char *key, int64_t owner)
{
	return text_format("%s/%lld", key, (long long)owner);
}

char *layers_format_source(const struct layers_want *want)
{
	_cleanup_free_ char *file = fs_identity_format(&want->file);

	return text_format("%s/%s/%s/%d/%lld/%s", file, want->peer->reader,
		hash_layer_kind(want->layer), (int)want->compile, (long long)want->owner,
		want->name ? want->name : "");
}

/* ---- finding */

struct making *layers_find_making(struct layers *layers, const char *key, int64_t owner)
{
	_cleanup_free_ char *text = layers_format_key(key, owner);
	struct map_node *node = map_find(&layers->by_key, text);

	return node ? container_of(node, struct making, key_node) : NULL;
}

struct making *layers_find_making_from(struct layers *layers, const struct layers_want *want)
{
	_cleanup_free_ char *text = layers_format_source(want);
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
	return making->is_kept ? &making->kept : &making->layer;
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

struct layers *layers_new(
	struct core *core, struct janitor *janitor, struct digests *digests, struct slots *slots)
{
	struct layers *layers = new0(struct layers);

	layers->core = core;
	layers->janitor = janitor;
	layers->digests = digests;
	layers->slots = slots;
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
