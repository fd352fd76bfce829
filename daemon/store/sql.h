#pragma once
/*
 * One SQLite connection and its prepared statements, without a word of SQL in
 * it: the only door to the library. Private to the store. Loop thread only.
 *
 *	_cleanup_statement_ struct sql_statement *s = sql_borrow(sql, QUERY_X);
 *
 *	sql_bind_text(s, id);
 *	r = sql_step(s, err);
 *
 * Values are bound and columns are read from left to right. What is bound must
 * live until the statement is returned.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/error.h"

struct sql;
struct sql_statement;

/* Outcomes of sql_step(). */
enum {
	SQL_ROW = 1,
	SQL_TAKEN, /* a key that must be unique is taken; nothing was changed */
};

/* Opens the file, which must exist. @on_pages may be NULL. */
int sql_open(const char *path, void (*on_pages)(int pages, void *data), void *data,
	struct sql **ret, struct error *err);
struct sql *sql_close(struct sql *sql);
DEFINE_CLEANUP(struct sql *, sql_close);

/* Any number of statements without values, results thrown away. */
int sql_execute(struct sql *sql, const char *text, struct error *err);
/* The first column of the first row of a statement that has one. */
int sql_get_number(struct sql *sql, const char *text, int64_t *ret, struct error *err);
/* Once, when the schema is there. sql_borrow() takes a place in @texts. */
int sql_prepare(struct sql *sql, const char *const *texts, size_t count, struct error *err);

/* What fails (not: an outcome) within a transaction dooms it: everything fails
 * from then on until sql_rollback(), also sql_commit(), which rolls back.
 * sql_doom() is for failures that SQLite knows nothing of. */
int sql_begin(struct sql *sql, struct error *err);
int sql_commit(struct sql *sql, struct error *err);
void sql_rollback(struct sql *sql); /* does nothing outside a transaction */
void sql_doom(struct sql *sql, int r);
bool sql_has_begun(const struct sql *sql);

struct sql_statement *sql_borrow(struct sql *sql, size_t which);
void sql_return(struct sql_statement **statement);
#define _cleanup_statement_ _cleanup_(sql_return)

void sql_bind_text(struct sql_statement *s, const char *text); /* NULL: SQL's NULL */
void sql_bind_number(struct sql_statement *s, int64_t number);
/* 0 when there are no more rows. */
int sql_step(struct sql_statement *s, struct error *err);
/* How many rows the step changed. */
size_t sql_changed(const struct sql_statement *s);

/* Cut to the size; the schema says that what we wrote fits. */
void sql_read_text(struct sql_statement *s, char *ret, size_t size);
char *sql_read_text_copy(struct sql_statement *s); /* owned by the caller, never NULL */
int64_t sql_read_number(struct sql_statement *s);
