/*
 * Opening, migrating, transactions, and the small tables. Layers, environments
 * and leases have files of their own beside this one.
 *
 * Write-ahead log with synchronous=NORMAL: a commit is a few writes and never
 * waits for the disk; a loss of power loses the last commits, never their order.
 * Nothing here checkpoints by itself (that does wait): a worker does it when on_pages()
 * says that the log has grown. The log is cut to LOG_KEEP bytes when it starts
 * anew, so a burst does not stay for ever.
 *
 * No memory mapping: under one, a failing disk is a signal instead of an error,
 * and an index of this size is in SQLite's own cache anyway.
 */
#include "daemon/store/db.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "daemon/store/db-internal.h"
#include "daemon/store/migrations.h"

#define LOG_KEEP "16777216"
#define CACHE_KIB "8192"

/* ---- open */

/* Only we may read the index: it says who runs what. SQLite gives its -wal and
 * -shm files the modes of the main file. */
static int make_file(const char *path, struct error *err)
{
	_cleanup_close_ int fd = open(
		path, O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0600);
	struct stat st;

	if (fd < 0)
		return fail_errno(err, -errno, "INTERNAL_ERROR", "cannot open '%s'", path);
	if (fstat(fd, &st) || !S_ISREG(st.st_mode))
		return fail(err, -EINVAL, "INTERNAL_ERROR", "'%s' is not a regular file", path);
	if ((st.st_mode & 077) && fchmod(fd, 0600))
		return fail_errno(
			err, -errno, "INTERNAL_ERROR", "cannot change the mode of '%s'", path);
	return 0;
}

static int configure(struct sql *sql, struct error *err)
{
	return sql_execute(sql,
		"PRAGMA journal_mode = WAL;"
		"PRAGMA synchronous = NORMAL;"
		"PRAGMA foreign_keys = ON;"
		"PRAGMA trusted_schema = OFF;"
		"PRAGMA cell_size_check = ON;"
		"PRAGMA secure_delete = OFF;"
		"PRAGMA mmap_size = 0;"
		"PRAGMA temp_store = MEMORY;"
		"PRAGMA cache_size = -" CACHE_KIB ";"
		"PRAGMA journal_size_limit = " LOG_KEEP ";",
		err);
}

static int apply(struct sql *sql, size_t step, struct error *err)
{
	_cleanup_free_ char *version = text_format("PRAGMA user_version = %zu", step + 1);
	int r;

	r = sql_begin(sql, err);
	if (r)
		return r;
	r = sql_execute(sql, migrations[step], err);
	if (r == 0)
		r = sql_execute(sql, version, err);
	if (r) {
		sql_rollback(sql);
		return r;
	}
	return sql_commit(sql, err);
}

static int migrate(struct sql *sql, struct error *err)
{
	int64_t version, application, objects;
	size_t step;
	int r;

	r = sql_get_number(sql, "PRAGMA user_version", &version, err);
	if (r == 0)
		r = sql_get_number(sql, "PRAGMA application_id", &application, err);
	if (r == 0)
		r = sql_get_number(sql, "SELECT COUNT(*) FROM sqlite_master", &objects, err);
	if (r)
		return r;
	if (version < 0 || (version || objects ? application != atoll(APPLICATION_ID) : false))
		return fail(
			err, -EINVAL, "INTERNAL_ERROR", "the database belongs to something else");
	if (version > (int64_t)ARRAY_SIZE(migrations)) {
		fail(err, -EINVAL, "INTERNAL_ERROR",
			"made by a later version of pyenvd (its schema is %lld, mine is %zu)",
			(long long)version, ARRAY_SIZE(migrations));
		return DB_E_TOO_NEW;
	}
	for (step = (size_t)version; step < ARRAY_SIZE(migrations); step++) {
		r = apply(sql, step, err);
		if (r)
			return r;
	}
	return 0;
}

int db_open(const char *path, void (*on_pages)(int pages, void *data), void *data, struct db **ret,
	struct error *err)
{
	_cleanup_(db_closep) struct db *db = new0(struct db);
	int r;

	r = make_file(path, err);
	if (r)
		return r;
	r = sql_open(path, on_pages, data, &db->sql, err);
	if (r == 0)
		r = configure(db->sql, err);
	if (r == 0)
		r = migrate(db->sql, err);
	if (r == 0)
		r = sql_prepare(db->sql, queries, QUERY_COUNT, err);
	if (r) {
		error_prefix(err, "cannot use '%s'", path);
		return r;
	}
	*ret = STEAL(db);
	return 0;
}

struct db *db_close(struct db *db)
{
	if (!db)
		return NULL;
	sql_close(db->sql);
	free(db);
	return NULL;
}

/* ---- transactions */

int db_checkpoint_rest(struct db *db, struct error *err)
{
	return sql_execute(db->sql, "PRAGMA wal_checkpoint(PASSIVE)", err);
}

int db_begin(struct db *db, struct error *err)
{
	return sql_begin(db->sql, err);
}

int db_commit(struct db *db, struct error *err)
{
	return sql_commit(db->sql, err);
}

void db_rollback(struct db *db)
{
	sql_rollback(db->sql);
}

int db_enter(struct db *db, bool *own, struct error *err)
{
	*own = !sql_has_begun(db->sql);
	return *own ? sql_begin(db->sql, err) : 0;
}

int db_leave(struct db *db, bool own, int r, struct error *err)
{
	if (own && r == 0)
		return sql_commit(db->sql, err);
	if (own)
		sql_rollback(db->sql);
	else if (r < 0)
		sql_doom(db->sql, r);
	return r;
}

/* ---- steps */

int db_run(struct sql_statement *s, struct error *err)
{
	int r = sql_step(s, err);

	assert(r != SQL_ROW);
	return r == SQL_TAKEN ? DB_E_EXISTS : r;
}

int db_run_on_one(struct sql_statement *s, struct error *err)
{
	int r = db_run(s, err);

	return r == 0 && sql_changed(s) == 0 ? DB_E_NOT_FOUND : r;
}

int db_find(struct sql_statement *s, struct error *err)
{
	int r = sql_step(s, err);

	if (r == SQL_ROW)
		return 0;
	return r == 0 ? DB_E_NOT_FOUND : fold(r);
}

int db_list(struct sql_statement *s, void (*read)(struct sql_statement *s, void *row),
	size_t row_size, void **ret_rows, size_t *ret_count, struct error *err)
{
	_cleanup_buffer_ struct buffer rows = { 0 };
	size_t count = 0;
	int r;

	while ((r = sql_step(s, err)) == SQL_ROW) {
		void *row = buffer_reserve(&rows, row_size);

		memset(row, 0, row_size);
		read(s, row);
		rows.size += row_size;
		count++;
	}
	if (r)
		return fold(r);
	*ret_count = count;
	*ret_rows = STEAL(rows).data;
	return 0;
}

static void read_id(struct sql_statement *s, void *row)
{
	sql_read_text(s, row, LEASE_ID_LENGTH + 1);
}

int db_list_ids(struct sql_statement *s, struct db_ids *ret, struct error *err)
{
	void *rows;
	int r;

	r = db_list(s, read_id, sizeof(*ret->rows), &rows, &ret->count, err);
	if (r == 0)
		ret->rows = rows;
	return r;
}

/* ---- settings */

int db_get_setting(struct db *db, const char *name, char *value, size_t size, struct error *err)
{
	_cleanup_statement_ struct sql_statement *s = db_query(db, QUERY_GET_SETTING);
	int r;

	sql_bind_text(s, name);
	r = db_find(s, err);
	if (r == 0)
		sql_read_text(s, value, size);
	return r;
}

int db_put_setting(struct db *db, const char *name, const char *value, struct error *err)
{
	_cleanup_statement_ struct sql_statement *s = db_query(db, QUERY_PUT_SETTING);

	sql_bind_text(s, name);
	sql_bind_text(s, value);
	return fold(db_run(s, err));
}

/* ---- digests */

static void bind_file(struct sql_statement *s, const struct fs_identity *file, const char *reader)
{
	sql_bind_number(s, (int64_t)file->dev);
	sql_bind_number(s, (int64_t)file->ino);
	sql_bind_text(s, reader);
	sql_bind_number(s, (int64_t)file->size);
	sql_bind_number(s, file->mtime_ns);
	sql_bind_number(s, file->ctime_ns);
}

int db_find_digest(struct db *db, const struct fs_identity *file, const char *reader,
	char sha256[SHA256_HEX_SIZE], struct error *err)
{
	_cleanup_statement_ struct sql_statement *s = db_query(db, QUERY_FIND_DIGEST);
	int r;

	bind_file(s, file, reader);
	r = db_find(s, err);
	if (r == 0)
		sql_read_text(s, sha256, SHA256_HEX_SIZE);
	return r;
}

int db_put_digest(struct db *db, const struct db_digest *digest, int64_t now, struct error *err)
{
	_cleanup_statement_ struct sql_statement *s = db_query(db, QUERY_PUT_DIGEST);

	bind_file(s, &digest->file, digest->reader);
	sql_bind_text(s, digest->sha256);
	sql_bind_number(s, now);
	return fold(db_run(s, err));
}

int db_has_artifact_size(struct db *db, uint64_t size, bool *ret, struct error *err)
{
	_cleanup_statement_ struct sql_statement *s = db_query(db, QUERY_HAS_ARTIFACT_SIZE);
	int r;

	sql_bind_number(s, (int64_t)size);
	r = fold(db_find(s, err));
	if (r == 0)
		*ret = sql_read_number(s) != 0;
	return r;
}

int db_trim_digests(struct db *db, int64_t before, struct error *err)
{
	_cleanup_statement_ struct sql_statement *s = db_query(db, QUERY_TRIM_DIGESTS);

	sql_bind_number(s, before);
	return fold(db_run(s, err));
}

/* ---- totals */

int db_get_totals(struct db *db, struct db_totals *ret, struct error *err)
{
	_cleanup_statement_ struct sql_statement *s = db_query(db, QUERY_GET_TOTALS);
	int r;

	r = fold(db_find(s, err));
	if (r)
		return r;
	ret->environments = (uint64_t)sql_read_number(s);
	ret->layers = (uint64_t)sql_read_number(s);
	ret->leases = (uint64_t)sql_read_number(s);
	ret->layer_bytes = (uint64_t)sql_read_number(s);
	ret->leased_bytes = (uint64_t)sql_read_number(s);
	ret->artifacts = (uint64_t)sql_read_number(s);
	ret->artifact_bytes = (uint64_t)sql_read_number(s);
	return 0;
}
