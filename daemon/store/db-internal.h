#pragma once
/* What the files of the index share. Private to db*.c. */
#include "base/buffer.h"
#include "daemon/store/db.h"
#include "daemon/store/queries.h"
#include "daemon/store/sql.h"

struct db {
	struct sql *sql; /* owned */
};

static inline struct sql_statement *db_query(struct db *db, enum query query)
{
	return sql_borrow(db->sql, query);
}

/* One step of a statement that gives no rows. DB_E_EXISTS. */
int db_run(struct sql_statement *s, struct error *err);
/* The same for one that must change something. DB_E_NOT_FOUND, DB_E_EXISTS. */
int db_run_on_one(struct sql_statement *s, struct error *err);
/* One step of a statement that gives at most one row. DB_E_NOT_FOUND. */
int db_find(struct sql_statement *s, struct error *err);
/* All rows, in one array that the caller owns: @read makes a row of @row_size
 * bytes of what the statement stands on. */
int db_list(struct sql_statement *s, void (*read)(struct sql_statement *s, void *row),
	size_t row_size, void **ret_rows, size_t *ret_count, struct error *err);

int db_list_ids(struct sql_statement *s, struct db_ids *ret, struct error *err);

/* Brackets a function of several statements: a transaction of its own unless the
 * caller has begun one. db_leave() takes the result so far and returns the
 * final one; anything but 0 undoes what was done within. */
int db_enter(struct db *db, bool *own, struct error *err);
int db_leave(struct db *db, bool own, int r, struct error *err);
