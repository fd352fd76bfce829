/*
 * Artifacts, and which leases keep them. A row is there for as long as its file is: the file is
 * named before the row is added, and loses its name after the row was deleted, so what a
 * crash leaves is a file without a row.
 */
#include <errno.h>

#include "daemon/store/db-internal.h"

static void read_artifact(struct sql_statement *s, void *row)
{
	struct db_artifact *artifact = row;

	sql_read_text(s, artifact->digest, sizeof(artifact->digest));
	artifact->uid = (uint32_t)sql_read_number(s);
	artifact->bytes = (uint64_t)sql_read_number(s);
	artifact->durable = sql_read_number(s) != 0;
	artifact->created = sql_read_number(s);
	artifact->used = sql_read_number(s);
}

static int list_artifacts(struct sql_statement *s, struct db_artifacts *ret, struct error *err)
{
	void *rows;
	int r;

	r = db_list(s, read_artifact, sizeof(*ret->rows), &rows, &ret->count, err);
	if (r == 0)
		ret->rows = rows;
	return r;
}

/* Bound to the first two values. */
static struct sql_statement *query_on(
	struct db *db, enum query query, const char *digest, uint32_t uid)
{
	struct sql_statement *s = db_query(db, query);

	sql_bind_text(s, digest);
	sql_bind_number(s, uid);
	return s;
}

int db_add_artifact(struct db *db, const struct db_artifact *artifact, struct error *err)
{
	_cleanup_statement_ struct sql_statement *s = query_on(
		db, QUERY_ADD_ARTIFACT, artifact->digest, artifact->uid);

	sql_bind_number(s, (int64_t)artifact->bytes);
	sql_bind_number(s, artifact->created);
	return db_run(s, err);
}

int db_use_artifact(struct db *db, const char *digest, uint32_t uid, int64_t now, struct error *err)
{
	_cleanup_statement_ struct sql_statement *s = query_on(db, QUERY_USE_ARTIFACT, digest, uid);

	sql_bind_number(s, now);
	return db_run_on_one(s, err);
}

int db_delete_artifact(struct db *db, const char *digest, uint32_t uid, struct error *err)
{
	_cleanup_statement_ struct sql_statement *s = query_on(
		db, QUERY_DELETE_ARTIFACT, digest, uid);

	return db_run_on_one(s, err);
}

int db_find_artifact(
	struct db *db, const char *digest, uint32_t uid, struct db_artifact *ret, struct error *err)
{
	_cleanup_statement_ struct sql_statement *s = query_on(
		db, QUERY_FIND_ARTIFACT, digest, uid);
	int r;

	r = db_find(s, err);
	if (r == 0)
		read_artifact(s, ret);
	return r;
}

int db_mark_artifacts_durable(struct db *db, int64_t before, struct error *err)
{
	_cleanup_statement_ struct sql_statement *s = db_query(db, QUERY_MARK_ARTIFACTS_DURABLE);

	sql_bind_number(s, before);
	return fold(db_run(s, err));
}

/* "<digest>/<uid>"; without a uid: behind all of this digest. */
static int parse_after(const char *after, char digest[SHA256_HEX_SIZE], int64_t *uid)
{
	const char *slash = strchrnul(after, '/');
	size_t length = (size_t)(slash - after);
	uint64_t number = INT64_MAX;

	if (length >= SHA256_HEX_SIZE)
		return -EINVAL;
	memcpy(digest, after, length);
	digest[length] = 0;
	if (*slash && (parse_u64(slash + 1, &number) || number > UINT32_MAX))
		return -EINVAL;
	*uid = (int64_t)number;
	return 0;
}

int db_list_artifacts(struct db *db, const char *after, size_t limit, int64_t uid,
	struct db_artifacts *ret, struct error *err)
{
	_cleanup_statement_ struct sql_statement *s = db_query(db, QUERY_LIST_ARTIFACTS);
	char digest[SHA256_HEX_SIZE];
	int64_t last;
	int r;

	r = parse_after(after, digest, &last);
	if (r)
		return fail(err, r, "REQUEST_INVALID", "there is no page after '%s'", after);
	sql_bind_text(s, digest);
	sql_bind_number(s, last);
	sql_bind_number(s, uid);
	sql_bind_number(s, (int64_t)limit);
	return list_artifacts(s, ret, err);
}

int db_list_idle_artifacts(struct db *db, struct db_artifacts *ret, struct error *err)
{
	_cleanup_statement_ struct sql_statement *s = db_query(db, QUERY_LIST_IDLE_ARTIFACTS);

	return list_artifacts(s, ret, err);
}

/* ---- of leases */

int db_add_lease_artifact(
	struct db *db, const char *lease, const char *name, const char *digest, struct error *err)
{
	_cleanup_statement_ struct sql_statement *s = db_query(db, QUERY_ADD_LEASE_ARTIFACT);
	int r;

	sql_bind_text(s, lease);
	sql_bind_text(s, name);
	sql_bind_text(s, digest);
	r = db_run_on_one(s, err);
	if (r == DB_E_NOT_FOUND)
		return fail(err, -ENOENT, "INTERNAL_ERROR", "artifact %s is not there", digest);
	return fold(r);
}

void db_lease_artifacts_deinit(struct db_lease_artifacts *artifacts)
{
	size_t i;

	for (i = 0; i < artifacts->count; i++)
		free(artifacts->rows[i].name);
	free(artifacts->rows);
	*artifacts = (struct db_lease_artifacts){ 0 };
}

static void read_lease_artifact(struct sql_statement *s, void *row)
{
	struct db_lease_artifact *artifact = row;

	artifact->name = sql_read_text_copy(s);
	sql_read_text(s, artifact->digest, sizeof(artifact->digest));
}

int db_list_lease_artifacts(
	struct db *db, const char *lease, struct db_lease_artifacts *ret, struct error *err)
{
	_cleanup_statement_ struct sql_statement *s = db_query(db, QUERY_LIST_LEASE_ARTIFACTS);
	void *rows;
	int r;

	sql_bind_text(s, lease);
	r = db_list(s, read_lease_artifact, sizeof(*ret->rows), &rows, &ret->count, err);
	if (r == 0)
		ret->rows = rows;
	return r;
}
