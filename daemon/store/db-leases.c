/*
 * Leases. Who uses what is never counted in a column: it is these rows. While a
 * lease is there, foreign keys keep its environment and its layers.
 */
#include <errno.h>

#include "daemon/store/db-internal.h"

static void read_lease(struct sql_statement *s, void *row)
{
	struct db_lease *lease = row;

	sql_read_text(s, lease->id, sizeof(lease->id));
	lease->uid = (uint32_t)sql_read_number(s);
	lease->gid = (uint32_t)sql_read_number(s);
	sql_read_text(s, lease->hash, sizeof(lease->hash));
	lease->owner = sql_read_number(s);
	sql_read_text(s, lease->request_id, sizeof(lease->request_id));
	sql_read_text(s, lease->request_digest, sizeof(lease->request_digest));
	sql_read_text(s, lease->label, sizeof(lease->label));
	lease->holder = (enum db_holder)sql_read_number(s);
	lease->pid = (int32_t)sql_read_number(s);
	lease->pid_start = (uint64_t)sql_read_number(s);
	sql_read_text(s, lease->boot_id, sizeof(lease->boot_id));
	lease->expires = sql_read_number(s);
	lease->grace_ms = (uint32_t)sql_read_number(s);
	lease->created = sql_read_number(s);
	lease->worker = (enum db_worker)sql_read_number(s);
	lease->guardian_pid = (int32_t)sql_read_number(s);
	lease->guardian_start = (uint64_t)sql_read_number(s);
}

static int find_lease(struct sql_statement *s, struct db_lease *ret, struct error *err)
{
	int r = db_find(s, err);

	if (r == 0)
		read_lease(s, ret);
	return r;
}

static int add_row(struct db *db, const struct db_lease *lease, struct error *err)
{
	_cleanup_statement_ struct sql_statement *s = db_query(db, QUERY_ADD_LEASE);

	sql_bind_text(s, lease->id);
	sql_bind_number(s, lease->uid);
	sql_bind_number(s, lease->gid);
	sql_bind_text(s, lease->hash);
	sql_bind_number(s, lease->owner);
	sql_bind_text(s, lease->request_id[0] ? lease->request_id : NULL);
	sql_bind_text(s, lease->request_digest);
	sql_bind_text(s, lease->label);
	sql_bind_number(s, lease->holder);
	sql_bind_number(s, lease->pid);
	sql_bind_number(s, (int64_t)lease->pid_start);
	sql_bind_text(s, lease->boot_id);
	sql_bind_number(s, lease->expires);
	sql_bind_number(s, lease->grace_ms);
	sql_bind_number(s, lease->created);
	sql_bind_number(s, lease->worker);
	sql_bind_number(s, lease->guardian_pid);
	sql_bind_number(s, (int64_t)lease->guardian_start);
	return db_run(s, err);
}

static int add_layer(
	struct db *db, const char *lease, size_t position, const char *id, struct error *err)
{
	_cleanup_statement_ struct sql_statement *s = db_query(db, QUERY_ADD_LEASE_LAYER);
	int r;

	sql_bind_text(s, lease);
	sql_bind_number(s, (int64_t)position);
	sql_bind_text(s, id);
	r = db_run_on_one(s, err);
	if (r == DB_E_NOT_FOUND)
		return fail(err, -ENOENT, "INTERNAL_ERROR", "layer '%s' is not ready", id);
	return fold(r);
}

static int add(struct db *db, const struct db_lease *lease, const char *const *layer_ids,
	size_t layer_count, struct error *err)
{
	size_t i;
	int r;

	r = add_row(db, lease, err);
	for (i = 0; r == 0 && i < layer_count; i++)
		r = add_layer(db, lease->id, i, layer_ids[i], err);
	return r;
}

int db_add_lease(struct db *db, const struct db_lease *lease, const char *const *layer_ids,
	size_t layer_count, struct error *err)
{
	bool own;
	int r;

	r = db_enter(db, &own, err);
	if (r)
		return r;
	return db_leave(db, own, add(db, lease, layer_ids, layer_count, err), err);
}

static int use_what_it_kept(
	struct db *db, enum query query, const char *id, int64_t now, struct error *err)
{
	_cleanup_statement_ struct sql_statement *s = db_query(db, query);

	sql_bind_text(s, id);
	sql_bind_number(s, now);
	return fold(db_run(s, err));
}

static int delete_row(struct db *db, const char *id, struct error *err)
{
	_cleanup_statement_ struct sql_statement *s = db_query(db, QUERY_DELETE_LEASE);

	sql_bind_text(s, id);
	return db_run_on_one(s, err);
}

int db_delete_lease(struct db *db, const char *id, int64_t now, struct error *err)
{
	bool own;
	int r;

	r = db_enter(db, &own, err);
	if (r)
		return r;
	r = use_what_it_kept(db, QUERY_USE_LAYERS_OF_LEASE, id, now, err);
	if (r == 0)
		r = use_what_it_kept(db, QUERY_USE_ARTIFACTS_OF_LEASE, id, now, err);
	if (r == 0)
		r = delete_row(db, id, err);
	return db_leave(db, own, r, err);
}

int db_find_lease(struct db *db, const char *id, struct db_lease *ret, struct error *err)
{
	_cleanup_statement_ struct sql_statement *s = db_query(db, QUERY_FIND_LEASE);

	sql_bind_text(s, id);
	return find_lease(s, ret, err);
}

int db_find_lease_by_request(struct db *db, uint32_t uid, const char *request_id,
	struct db_lease *ret, struct error *err)
{
	_cleanup_statement_ struct sql_statement *s = db_query(db, QUERY_FIND_LEASE_BY_REQUEST);

	sql_bind_number(s, uid);
	sql_bind_text(s, request_id);
	return find_lease(s, ret, err);
}

int db_add_lease_interpreter(
	struct db *db, const char *lease, const char *path, const char *home, struct error *err)
{
	_cleanup_statement_ struct sql_statement *s = db_query(db, QUERY_ADD_LEASE_INTERPRETER);

	sql_bind_text(s, lease);
	sql_bind_text(s, path);
	sql_bind_text(s, home);
	return db_run(s, err);
}

int db_find_lease_interpreter(
	struct db *db, const char *lease, char **path, char **home, struct error *err)
{
	_cleanup_statement_ struct sql_statement *s = db_query(db, QUERY_FIND_LEASE_INTERPRETER);
	int r;

	sql_bind_text(s, lease);
	r = db_find(s, err);
	if (r)
		return r;
	*path = sql_read_text_copy(s);
	*home = sql_read_text_copy(s);
	return 0;
}

int db_set_lease_expiry(struct db *db, const char *id, int64_t expires, struct error *err)
{
	_cleanup_statement_ struct sql_statement *s = db_query(db, QUERY_SET_LEASE_EXPIRY);

	sql_bind_text(s, id);
	sql_bind_number(s, expires);
	return db_run_on_one(s, err);
}

int db_list_lease_layers(struct db *db, const char *id, struct db_ids *ret, struct error *err)
{
	_cleanup_statement_ struct sql_statement *s = db_query(db, QUERY_LIST_LEASE_LAYERS);

	sql_bind_text(s, id);
	return db_list_ids(s, ret, err);
}

int db_list_leases(struct db *db, const char *after, size_t limit, int64_t uid,
	struct db_leases *ret, struct error *err)
{
	_cleanup_statement_ struct sql_statement *s = db_query(db, QUERY_LIST_LEASES);
	void *rows;
	int r;

	sql_bind_text(s, after);
	sql_bind_number(s, uid);
	sql_bind_number(s, (int64_t)limit);
	r = db_list(s, read_lease, sizeof(*ret->rows), &rows, &ret->count, err);
	if (r == 0)
		ret->rows = rows;
	return r;
}
