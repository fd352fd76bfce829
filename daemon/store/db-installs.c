/* Beside the row of a layer; goes with it. */
#include "daemon/store/db-internal.h"

void db_install_deinit(struct db_install *install)
{
	free(install->site);
	free(install->scripts);
	free(install->resolved);
	*install = (struct db_install){ 0 };
}

int db_put_install(
	struct db *db, const char *layer, const struct db_install *install, struct error *err)
{
	_cleanup_statement_ struct sql_statement *s = db_query(db, QUERY_PUT_INSTALL);

	sql_bind_text(s, layer);
	sql_bind_text(s, install->site);
	sql_bind_text(s, install->scripts);
	sql_bind_text(s, install->resolved);
	sql_bind_number(s, install->resolved_at);
	return fold(db_run(s, err));
}

int db_find_install(struct db *db, const char *layer, struct db_install *ret, struct error *err)
{
	_cleanup_statement_ struct sql_statement *s = db_query(db, QUERY_FIND_INSTALL);
	int r;

	sql_bind_text(s, layer);
	r = db_find(s, err);
	if (r)
		return r;
	ret->site = sql_read_text_copy(s);
	ret->scripts = sql_read_text_copy(s);
	ret->resolved = sql_read_text_copy(s);
	ret->resolved_at = sql_read_number(s);
	return 0;
}

int db_list_siblings(struct db *db, int64_t owner, const char *site, size_t limit,
	struct db_ids *ret, struct error *err)
{
	_cleanup_statement_ struct sql_statement *s = db_query(db, QUERY_LIST_SIBLINGS);

	sql_bind_number(s, owner);
	sql_bind_text(s, site);
	sql_bind_number(s, (int64_t)limit);
	return db_list_ids(s, ret, err);
}
