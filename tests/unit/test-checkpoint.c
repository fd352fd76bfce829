#include <criterion/criterion.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/util.h"
#include "daemon/worker/checkpoint.h"

static void execute(sqlite3 *db, const char *sql)
{
	char *message = NULL;

	sqlite3_exec(db, sql, NULL, NULL, &message);
	cr_assert_null(message, "%s: %s", sql, message);
}

Test(checkpoint, the_log_is_written_back_beside_an_open_connection)
{
	char directory[] = "/tmp/pyenvd-test-XXXXXX";
	_cleanup_free_ char *path = NULL;
	struct error err = { 0 };
	struct stat before, after;
	sqlite3 *db;

	cr_assert(mkdtemp(directory));
	path = text_format("%s/index.db", directory);
	cr_assert_eq(sqlite3_open(path, &db), SQLITE_OK);
	execute(db, "PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0");
	execute(db, "CREATE TABLE t (x); INSERT INTO t VALUES (zeroblob(100000))");
	cr_assert_eq(stat(path, &before), 0);
	cr_expect_eq(checkpoint(path, &err), 0, "%s", err.text);
	cr_assert_eq(stat(path, &after), 0);
	cr_expect_gt(after.st_size, before.st_size + 100000);
	sqlite3_close(db);
	unlink(path);
	rmdir(directory);
}
