/*
 * Statements are prepared once, at open, so that a misspelt one fails every
 * test, and borrowed through a cleanup attribute that makes them ready for the
 * next. sqlite3_close() refuses while a statement is left; it is asserted not to.
 *
 * SQLite rolls back by itself after some failures (a full disk, an I/O error)
 * and not after others. So that a caller who goes on after a failure never
 * writes the second half of a transaction without the first, what fails within
 * one is remembered in `doomed` and repeated until somebody rolls back.
 */
#include "daemon/store/sql.h"

#include <assert.h>
#include <errno.h>
#include <sqlite3.h>

/* How long to wait for the checkpoint worker's locks, which it holds for
 * moments, and never for as long as it copies pages. */
#define BUSY_MS 1000

struct sql_statement {
	struct sql *sql;
	sqlite3_stmt *handle; /* owned */
	int bound, read; /* how many values and columns so far */
	int bind_code; /* the first failure to bind */
	bool borrowed;
};

struct sql {
	sqlite3 *handle; /* owned */
	struct sql_statement begin, commit, rollback;
	struct sql_statement *statements; /* owned, as are those within */
	size_t count;
	bool begun;
	int doomed; /* what failed since sql_begin(); 0 while nothing has */
	void (*on_pages)(int pages, void *data);
	void *data;
};

/* The only place that knows SQLite's codes. */
static int translate(struct sql *sql, int code, struct error *err)
{
	const char *text = sql->handle ? sqlite3_errmsg(sql->handle) : sqlite3_errstr(code);
	int r = -EIO, system = sql->handle ? sqlite3_system_errno(sql->handle) : 0;
	bool is_system = (code & 0xff) == SQLITE_IOERR || (code & 0xff) == SQLITE_CANTOPEN;
	const char *reason = "INTERNAL_ERROR";

	switch (code) {
	case SQLITE_OK:
	case SQLITE_DONE:
		return 0;
	case SQLITE_ROW:
		return SQL_ROW;
	case SQLITE_CONSTRAINT_UNIQUE:
	case SQLITE_CONSTRAINT_PRIMARYKEY:
		return SQL_TAKEN;
	}
	if ((code & 0xff) == SQLITE_NOMEM)
		r = -ENOMEM;
	else if ((code & 0xff) == SQLITE_FULL ||
		(is_system && (system == ENOSPC || system == EDQUOT)))
		r = -ENOSPC, reason = "NO_SPACE";
	if (sql->begun)
		sql->doomed = r;
	if (is_system && system)
		return fail_errno(err, r, reason, "index: %s (%d, errno %d)", text, code, system);
	return fail(err, r, reason, "index: %s (%d)", text, code);
}

static int prepare(struct sql *sql, const char *text, struct sql_statement *ret, struct error *err)
{
	int code = sqlite3_prepare_v3(
		sql->handle, text, -1, SQLITE_PREPARE_PERSISTENT, &ret->handle, NULL);

	ret->sql = sql;
	return translate(sql, code, err);
}

static int on_commit(void *data, sqlite3 *handle, const char *name, int pages)
{
	struct sql *sql = data;

	sql->on_pages(pages, sql->data);
	return SQLITE_OK;
}

int sql_open(const char *path, void (*on_pages)(int pages, void *data), void *data,
	struct sql **ret, struct error *err)
{
	_cleanup_(sql_closep) struct sql *sql = new0(struct sql);
	int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
	int r;

	sql->on_pages = on_pages;
	sql->data = data;
	r = translate(sql, sqlite3_open_v2(path, &sql->handle, flags, NULL), err);
	if (r)
		return r;
	sqlite3_busy_timeout(sql->handle, BUSY_MS);
	sqlite3_db_config(sql->handle, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
	if (on_pages)
		sqlite3_wal_hook(sql->handle, on_commit, sql);
	else
		sqlite3_wal_autocheckpoint(sql->handle, 0);
	r = prepare(sql, "BEGIN IMMEDIATE", &sql->begin, err);
	if (r == 0)
		r = prepare(sql, "COMMIT", &sql->commit, err);
	if (r == 0)
		r = prepare(sql, "ROLLBACK", &sql->rollback, err);
	if (r)
		return r;
	*ret = STEAL(sql);
	return 0;
}

struct sql *sql_close(struct sql *sql)
{
	size_t i;
	int code;

	if (!sql)
		return NULL;
	sql_rollback(sql);
	for (i = 0; i < sql->count; i++)
		sqlite3_finalize(sql->statements[i].handle);
	sqlite3_finalize(sql->rollback.handle);
	sqlite3_finalize(sql->commit.handle);
	sqlite3_finalize(sql->begin.handle);
	code = sqlite3_close(sql->handle);
	assert(code == SQLITE_OK);
	free(sql->statements);
	free(sql);
	return NULL;
}

int sql_execute(struct sql *sql, const char *text, struct error *err)
{
	return fold(translate(sql, sqlite3_exec(sql->handle, text, NULL, NULL, NULL), err));
}

int sql_get_number(struct sql *sql, const char *text, int64_t *ret, struct error *err)
{
	struct sql_statement s = { 0 };
	int r;

	r = prepare(sql, text, &s, err);
	if (r == 0)
		r = sql_step(&s, err);
	if (r == SQL_ROW) {
		*ret = sql_read_number(&s);
		r = 0;
	}
	sqlite3_finalize(s.handle);
	return fold(r);
}

int sql_prepare(struct sql *sql, const char *const *texts, size_t count, struct error *err)
{
	size_t i;
	int r;

	sql->statements = new0_array(struct sql_statement, count);
	sql->count = count;
	for (i = 0; i < count; i++) {
		r = prepare(sql, texts[i], &sql->statements[i], err);
		if (r)
			return r;
	}
	return 0;
}

static int run(struct sql_statement *s, struct error *err)
{
	int code = sqlite3_step(s->handle);
	int r = translate(s->sql, code, err);

	sqlite3_reset(s->handle);
	return fold(r);
}

int sql_begin(struct sql *sql, struct error *err)
{
	int r;

	assert(!sql->begun);
	r = run(&sql->begin, err);
	if (r == 0)
		sql->begun = true;
	return r;
}

int sql_commit(struct sql *sql, struct error *err)
{
	int r = sql->doomed;

	assert(sql->begun);
	if (r)
		fail(err, r, "INTERNAL_ERROR", "index: the transaction had failed before its end");
	else
		r = run(&sql->commit, err);
	if (r)
		sql_rollback(sql);
	sql->begun = false;
	return r;
}

void sql_rollback(struct sql *sql)
{
	if (!sql->begun)
		return;
	sql->begun = false;
	sql->doomed = 0;
	if (!sqlite3_get_autocommit(sql->handle))
		run(&sql->rollback, NULL);
	assert(sqlite3_get_autocommit(sql->handle));
}

void sql_doom(struct sql *sql, int r)
{
	assert(sql->begun && r < 0);
	sql->doomed = r;
}

bool sql_has_begun(const struct sql *sql)
{
	return sql->begun;
}

struct sql_statement *sql_borrow(struct sql *sql, size_t which)
{
	struct sql_statement *s = &sql->statements[which];

	assert(which < sql->count && !s->borrowed);
	s->borrowed = true;
	s->bound = s->read = 0;
	s->bind_code = SQLITE_OK;
	return s;
}

void sql_return(struct sql_statement **statement)
{
	struct sql_statement *s = *statement;

	if (!s)
		return;
	/* Says again what sql_step() has said. */
	sqlite3_reset(s->handle);
	sqlite3_clear_bindings(s->handle);
	s->borrowed = false;
	*statement = NULL;
}

static void note(struct sql_statement *s, int code)
{
	if (s->bind_code == SQLITE_OK)
		s->bind_code = code;
}

void sql_bind_text(struct sql_statement *s, const char *text)
{
	note(s, sqlite3_bind_text(s->handle, ++s->bound, text, -1, SQLITE_STATIC));
}

void sql_bind_number(struct sql_statement *s, int64_t number)
{
	note(s, sqlite3_bind_int64(s->handle, ++s->bound, number));
}

int sql_step(struct sql_statement *s, struct error *err)
{
	if (s->sql->doomed)
		return fail(err, s->sql->doomed, "INTERNAL_ERROR",
			"index: the transaction had failed before");
	if (s->bind_code != SQLITE_OK)
		return fold(translate(s->sql, s->bind_code, err));
	s->read = 0;
	return translate(s->sql, sqlite3_step(s->handle), err);
}

size_t sql_changed(const struct sql_statement *s)
{
	return (size_t)sqlite3_changes(s->sql->handle);
}

/* Never NULL: SQL's NULL is "", and without memory there is no going on. */
static const char *read_text(struct sql_statement *s)
{
	const char *text = (const char *)sqlite3_column_text(s->handle, s->read);

	if (!text && sqlite3_column_type(s->handle, s->read) != SQLITE_NULL)
		abort();
	s->read++;
	return text ? text : "";
}

void sql_read_text(struct sql_statement *s, char *ret, size_t size)
{
	const char *text = read_text(s);
	size_t length = strnlen(text, size - 1);

	memcpy(ret, text, length);
	ret[length] = 0;
}

char *sql_read_text_copy(struct sql_statement *s)
{
	return text_copy(read_text(s));
}

int64_t sql_read_number(struct sql_statement *s)
{
	return sqlite3_column_int64(s->handle, s->read++);
}
