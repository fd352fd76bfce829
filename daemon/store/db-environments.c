/*
 * Environments. A row is what is remembered of one: it holds nothing, and goes
 * with the first of its layers that is condemned. Leases keep both.
 *
 * The hot path is db_use_environment() of one that is known: two statements.
 */
#include <errno.h>

#include "daemon/store/db-internal.h"

struct subject {
	const char *hash;
	int64_t owner;
};

static struct sql_statement *query_on(struct db *db, enum query query, struct subject subject)
{
	struct sql_statement *s = db_query(db, query);

	sql_bind_text(s, subject.hash);
	sql_bind_number(s, subject.owner);
	return s;
}

static int run_now(
	struct db *db, enum query query, struct subject subject, int64_t now, struct error *err)
{
	_cleanup_statement_ struct sql_statement *s = query_on(db, query, subject);

	sql_bind_number(s, now);
	return db_run_on_one(s, err);
}

static int add_component(struct db *db, struct subject subject, size_t position,
	const struct db_component *component, struct error *err)
{
	_cleanup_statement_ struct sql_statement *s = query_on(db, QUERY_ADD_COMPONENT, subject);

	sql_bind_number(s, (int64_t)position);
	sql_bind_text(s, component->kind);
	sql_bind_text(s, component->name);
	sql_bind_text(s, component->value);
	return fold(db_run(s, err));
}

static int add_layer(
	struct db *db, struct subject subject, size_t position, const char *id, struct error *err)
{
	_cleanup_statement_ struct sql_statement *s = query_on(
		db, QUERY_ADD_ENVIRONMENT_LAYER, subject);
	int r;

	sql_bind_number(s, (int64_t)position);
	sql_bind_text(s, id);
	r = db_run_on_one(s, err);
	if (r == DB_E_NOT_FOUND)
		return fail(err, -ENOENT, "INTERNAL_ERROR", "layer '%s' is not ready", id);
	return fold(r);
}

static int use_layer(struct db *db, const char *id, int64_t now, struct error *err)
{
	_cleanup_statement_ struct sql_statement *s = db_query(db, QUERY_USE_LAYER);

	sql_bind_text(s, id);
	sql_bind_number(s, now);
	return fold(db_run_on_one(s, err));
}

struct use {
	struct subject subject;
	const struct db_component *components;
	size_t component_count;
	const char *const *layer_ids;
	size_t layer_count;
	int64_t now;
};

static int add(struct db *db, const struct use *use, struct error *err)
{
	size_t i;
	int r;

	r = fold(run_now(db, QUERY_ADD_ENVIRONMENT, use->subject, use->now, err));
	for (i = 0; r == 0 && i < use->component_count; i++)
		r = add_component(db, use->subject, i, &use->components[i], err);
	for (i = 0; r == 0 && i < use->layer_count; i++) {
		r = add_layer(db, use->subject, i, use->layer_ids[i], err);
		if (r == 0)
			r = use_layer(db, use->layer_ids[i], use->now, err);
	}
	return r;
}

static int add_or_use(struct db *db, const struct use *use, struct error *err)
{
	int r;

	r = run_now(db, QUERY_USE_ENVIRONMENT, use->subject, use->now, err);
	if (r == DB_E_NOT_FOUND)
		return add(db, use, err);
	if (r == 0)
		r = run_now(db, QUERY_USE_LAYERS_OF_ENVIRONMENT, use->subject, use->now, err);
	/* An environment may be without layers. */
	return r == DB_E_NOT_FOUND ? 0 : fold(r);
}

int db_use_environment(struct db *db, const char *hash, int64_t owner,
	const struct db_component *components, size_t component_count, const char *const *layer_ids,
	size_t layer_count, int64_t now, struct error *err)
{
	const struct use use = {
		.subject = { hash, owner },
		.components = components,
		.component_count = component_count,
		.layer_ids = layer_ids,
		.layer_count = layer_count,
		.now = now,
	};
	bool own;
	int r;

	r = db_enter(db, &own, err);
	if (r)
		return r;
	return db_leave(db, own, add_or_use(db, &use, err), err);
}

static void read_environment(struct sql_statement *s, void *row)
{
	struct db_environment *environment = row;

	sql_read_text(s, environment->hash, sizeof(environment->hash));
	environment->owner = sql_read_number(s);
	environment->created = sql_read_number(s);
	environment->used = sql_read_number(s);
	environment->uses = (uint64_t)sql_read_number(s);
	environment->leases = (uint64_t)sql_read_number(s);
	environment->bytes = (uint64_t)sql_read_number(s);
}

int db_find_environment(struct db *db, const char *prefix, int64_t uid, struct db_environment *ret,
	struct error *err)
{
	_cleanup_statement_ struct sql_statement *s = db_query(db, QUERY_FIND_ENVIRONMENT);
	struct db_environment found = { 0 };
	int r;

	sql_bind_text(s, prefix);
	sql_bind_number(s, uid);
	r = db_find(s, err);
	if (r)
		return r;
	read_environment(s, &found);
	r = db_find(s, err);
	if (r == 0)
		return DB_E_EXISTS;
	if (r != DB_E_NOT_FOUND)
		return fold(r);
	*ret = found;
	return 0;
}

/* "<hash>/<owner>"; without an owner: behind all of this hash. */
static int parse_after(const char *after, char hash[SHA256_HEX_SIZE], int64_t *owner)
{
	const char *slash = strchr(after, '/');
	size_t length = slash ? (size_t)(slash - after) : strlen(after);
	bool is_shared = slash && strcmp(slash + 1, "-1") == 0;
	uint64_t uid = INT64_MAX;

	if (length >= SHA256_HEX_SIZE)
		return -EINVAL;
	memcpy(hash, after, length);
	hash[length] = 0;
	if (slash && !is_shared && (parse_u64(slash + 1, &uid) || uid > UINT32_MAX))
		return -EINVAL;
	*owner = is_shared ? DB_SHARED : (int64_t)uid;
	return 0;
}

static int list_environments(
	struct sql_statement *s, struct db_environments *ret, struct error *err)
{
	void *rows;
	int r;

	r = db_list(s, read_environment, sizeof(*ret->rows), &rows, &ret->count, err);
	if (r == 0)
		ret->rows = rows;
	return r;
}

int db_list_environments(struct db *db, const char *after, size_t limit, int64_t uid,
	struct db_environments *ret, struct error *err)
{
	_cleanup_statement_ struct sql_statement *s = db_query(db, QUERY_LIST_ENVIRONMENTS);
	char hash[SHA256_HEX_SIZE];
	int64_t owner;
	int r;

	r = parse_after(after, hash, &owner);
	if (r)
		return fail(err, r, "REQUEST_INVALID", "there is no page after '%s'", after);
	sql_bind_text(s, hash);
	sql_bind_number(s, owner);
	sql_bind_number(s, uid);
	sql_bind_number(s, (int64_t)limit);
	return list_environments(s, ret, err);
}

int db_list_latest_environments(
	struct db *db, size_t limit, int64_t uid, struct db_environments *ret, struct error *err)
{
	_cleanup_statement_ struct sql_statement *s = db_query(db, QUERY_LIST_LATEST_ENVIRONMENTS);

	sql_bind_number(s, uid);
	sql_bind_number(s, (int64_t)limit);
	return list_environments(s, ret, err);
}

void db_components_deinit(struct db_components *components)
{
	size_t i;

	for (i = 0; i < components->count; i++) {
		free(components->rows[i].kind);
		free(components->rows[i].name);
		free(components->rows[i].value);
	}
	free(components->rows);
	*components = (struct db_components){ 0 };
}

int db_list_components(struct db *db, const char *hash, int64_t owner, struct db_components *ret,
	struct error *err)
{
	_cleanup_statement_ struct sql_statement *s = query_on(
		db, QUERY_LIST_COMPONENTS, (struct subject){ hash, owner });
	_cleanup_(db_components_deinit) struct db_components list = { 0 };
	struct db_component *component;
	int r;

	while ((r = sql_step(s, err)) == SQL_ROW) {
		list.rows = reallocarray(list.rows, list.count + 1, sizeof(*list.rows));
		if (!list.rows)
			abort();
		component = &list.rows[list.count++];
		component->kind = sql_read_text_copy(s);
		component->name = sql_read_text_copy(s);
		component->value = sql_read_text_copy(s);
	}
	if (r)
		return fold(r);
	*ret = STEAL(list);
	return 0;
}

int db_list_environment_layers(
	struct db *db, const char *hash, int64_t owner, struct db_ids *ret, struct error *err)
{
	_cleanup_statement_ struct sql_statement *s = query_on(
		db, QUERY_LIST_ENVIRONMENT_LAYERS, (struct subject){ hash, owner });

	return db_list_ids(s, ret, err);
}

int db_trim_environments(struct db *db, int64_t before, struct error *err)
{
	_cleanup_statement_ struct sql_statement *s = db_query(db, QUERY_TRIM_ENVIRONMENTS);

	sql_bind_number(s, before);
	return fold(db_run(s, err));
}
