/*
 * Layers. PREPARING -> READY -> DELETING; the state is an argument of no
 * function, each move has one of its own:
 *
 *	db_add_layer        -> PREPARING
 *	db_publish_layer       PREPARING -> READY
 *	db_supersede_layer     the READY one of a key is not found by it any more
 *	db_condemn_layer       PREPARING, READY -> DELETING
 *	db_delete_layer        the row goes
 *
 * A foreign key keeps the row for as long as an environment or a lease names it.
 */
#include <errno.h>

#include "daemon/store/db-internal.h"

static void read_layer(struct sql_statement *s, void *row)
{
	struct db_layer *layer = row;

	sql_read_text(s, layer->id, sizeof(layer->id));
	sql_read_text(s, layer->key, sizeof(layer->key));
	layer->owner = sql_read_number(s);
	layer->state = (enum layer_state)sql_read_number(s);
	sql_read_text(s, layer->kind, sizeof(layer->kind));
	sql_read_text(s, layer->name, sizeof(layer->name));
	sql_read_text(s, layer->digest, sizeof(layer->digest));
	layer->artifact_bytes = (uint64_t)sql_read_number(s);
	layer->bytes = (uint64_t)sql_read_number(s);
	layer->entries = (uint64_t)sql_read_number(s);
	layer->durable = sql_read_number(s) != 0;
	layer->created = sql_read_number(s);
	layer->used = sql_read_number(s);
	layer->shared_bytes = (uint64_t)sql_read_number(s);
	layer->superseded = sql_read_number(s) != 0;
	layer->leases = (uint64_t)sql_read_number(s);
}

static int list_layers(struct sql_statement *s, struct db_layers *ret, struct error *err)
{
	void *rows;
	int r;

	r = db_list(s, read_layer, sizeof(struct db_layer), &rows, &ret->count, err);
	if (r == 0)
		ret->rows = rows;
	return r;
}

static int find_layer(struct sql_statement *s, struct db_layer *ret, struct error *err)
{
	int r = db_find(s, err);

	if (r == 0)
		read_layer(s, ret);
	return r;
}

int db_add_layer(struct db *db, const struct db_layer *layer, struct error *err)
{
	_cleanup_statement_ struct sql_statement *s = db_query(db, QUERY_ADD_LAYER);

	sql_bind_text(s, layer->id);
	sql_bind_text(s, layer->key);
	sql_bind_number(s, layer->owner);
	sql_bind_text(s, layer->kind);
	sql_bind_text(s, layer->name);
	sql_bind_text(s, layer->digest);
	sql_bind_number(s, (int64_t)layer->artifact_bytes);
	sql_bind_number(s, layer->created);
	return db_run(s, err);
}

int db_set_layer_key(struct db *db, const char *id, const char *key, const char *digest,
	uint64_t artifact_bytes, struct error *err)
{
	_cleanup_statement_ struct sql_statement *s = db_query(db, QUERY_SET_LAYER_KEY);
	int r;

	sql_bind_text(s, id);
	sql_bind_text(s, key);
	sql_bind_text(s, digest);
	sql_bind_number(s, (int64_t)artifact_bytes);
	r = db_run_on_one(s, err);
	if (r == DB_E_NOT_FOUND)
		return fail(err, -EINVAL, "INTERNAL_ERROR",
			"layer '%s' is not being prepared without a key", id);
	return r;
}

int db_publish_layer(struct db *db, const struct db_layer *layer, int64_t now, struct error *err)
{
	_cleanup_statement_ struct sql_statement *s = db_query(db, QUERY_PUBLISH_LAYER);
	int r;

	sql_bind_text(s, layer->id);
	sql_bind_number(s, (int64_t)layer->bytes);
	sql_bind_number(s, (int64_t)layer->entries);
	sql_bind_number(s, (int64_t)layer->shared_bytes);
	sql_bind_number(s, now);
	r = db_run_on_one(s, err);
	if (r == DB_E_NOT_FOUND)
		return fail(err, -EINVAL, "INTERNAL_ERROR", "layer '%s' is not being prepared",
			layer->id);
	return fold(r);
}

static int take_key(struct db *db, const char *key, const char *id, struct error *err)
{
	_cleanup_statement_ struct sql_statement *s = db_query(db, QUERY_TAKE_LAYER_KEY);
	int r;

	sql_bind_text(s, id);
	sql_bind_text(s, key);
	r = db_run_on_one(s, err);
	if (r == DB_E_NOT_FOUND)
		return fail(err, -EINVAL, "INTERNAL_ERROR",
			"layer '%s' is not being prepared without a key", id);
	return fold(r);
}

static int supersede(
	struct db *db, const char *key, int64_t owner, const char *id, struct error *err)
{
	_cleanup_statement_ struct sql_statement *s = db_query(db, QUERY_SUPERSEDE_LAYER);
	int r;

	sql_bind_text(s, key);
	sql_bind_number(s, owner);
	r = fold(db_run(s, err));
	return r ? r : take_key(db, key, id, err);
}

int db_supersede_layer(
	struct db *db, const char *key, int64_t owner, const char *id, struct error *err)
{
	bool own;
	int r;

	r = db_enter(db, &own, err);
	return r ? r : db_leave(db, own, supersede(db, key, owner, id, err), err);
}

/* -EBUSY when a lease is in the way, -ENOENT when there is no such layer. */
static int check_not_leased(struct db *db, const char *id, struct error *err)
{
	_cleanup_statement_ struct sql_statement *s = db_query(db, QUERY_IS_LAYER_LEASED);
	int r;

	sql_bind_text(s, id);
	r = db_find(s, err);
	if (r == DB_E_NOT_FOUND)
		return fail(err, -ENOENT, "NOT_FOUND", "there is no layer '%s'", id);
	if (r)
		return fold(r);
	if (sql_read_number(s))
		return fail(err, -EBUSY, "INTERNAL_ERROR", "layer '%s' is leased", id);
	return 0;
}

static int run_on_layer(struct db *db, enum query query, const char *id, struct error *err)
{
	_cleanup_statement_ struct sql_statement *s = db_query(db, query);

	sql_bind_text(s, id);
	return fold(db_run(s, err));
}

static int condemn(struct db *db, const char *id, struct error *err)
{
	int r = run_on_layer(db, QUERY_DELETE_ENVIRONMENTS_OF_LAYER, id, err);

	return r ? r : run_on_layer(db, QUERY_CONDEMN_LAYER, id, err);
}

int db_condemn_layer(struct db *db, const char *id, struct error *err)
{
	bool own;
	int r;

	/* Environments may have leases on the layer that came in its place. */
	r = run_on_layer(db, QUERY_MOVE_ENVIRONMENTS, id, err);
	/* Before more is changed, so that a refusal dooms no transaction. */
	if (r == 0)
		r = check_not_leased(db, id, err);
	if (r == 0)
		r = db_enter(db, &own, err);
	if (r)
		return r;
	return db_leave(db, own, condemn(db, id, err), err);
}

int db_delete_layer(struct db *db, const char *id, struct error *err)
{
	_cleanup_statement_ struct sql_statement *s = db_query(db, QUERY_DELETE_LAYER);
	int r;

	sql_bind_text(s, id);
	r = db_run_on_one(s, err);
	return r == DB_E_NOT_FOUND ? r : fold(r);
}

int db_find_layer_by_key(
	struct db *db, const char *key, int64_t owner, struct db_layer *ret, struct error *err)
{
	_cleanup_statement_ struct sql_statement *s = db_query(db, QUERY_FIND_LAYER_BY_KEY);

	sql_bind_text(s, key);
	sql_bind_number(s, owner);
	return find_layer(s, ret, err);
}

int db_find_layer(struct db *db, const char *id, struct db_layer *ret, struct error *err)
{
	_cleanup_statement_ struct sql_statement *s = db_query(db, QUERY_FIND_LAYER);

	sql_bind_text(s, id);
	return find_layer(s, ret, err);
}

int db_mark_durable(struct db *db, int64_t before, struct error *err)
{
	_cleanup_statement_ struct sql_statement *s = db_query(db, QUERY_MARK_DURABLE);

	sql_bind_number(s, before);
	return fold(db_run(s, err));
}

int db_list_layers(struct db *db, const char *after, size_t limit, int64_t uid,
	struct db_layers *ret, struct error *err)
{
	_cleanup_statement_ struct sql_statement *s = db_query(db, QUERY_LIST_LAYERS);

	sql_bind_text(s, after);
	sql_bind_number(s, uid);
	sql_bind_number(s, (int64_t)limit);
	return list_layers(s, ret, err);
}

int db_list_layers_in_state(
	struct db *db, enum layer_state state, struct db_layers *ret, struct error *err)
{
	_cleanup_statement_ struct sql_statement *s = db_query(db, QUERY_LIST_LAYERS_IN_STATE);

	sql_bind_number(s, state);
	return list_layers(s, ret, err);
}

int db_list_idle_layers(struct db *db, struct db_layers *ret, struct error *err)
{
	_cleanup_statement_ struct sql_statement *s = db_query(db, QUERY_LIST_IDLE_LAYERS);

	return list_layers(s, ret, err);
}

int db_list_superseded_layers(struct db *db, struct db_layers *ret, struct error *err)
{
	_cleanup_statement_ struct sql_statement *s = db_query(db, QUERY_LIST_SUPERSEDED_LAYERS);

	return list_layers(s, ret, err);
}
