#include "daemon/worker/checkpoint.h"

#include <errno.h>
#include <sqlite3.h>

int checkpoint(const char *path, struct error *err)
{
	sqlite3 *db = NULL;
	int r;

	r = sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, NULL);
	/* A connection that has read nothing does not know yet that there is a log, and
	 * would write back nothing without a word. */
	if (r == SQLITE_OK)
		r = sqlite3_exec(db, "SELECT 1 FROM sqlite_master", NULL, NULL, NULL);
	/* PASSIVE never waits for the daemon, and never makes it wait. */
	if (r == SQLITE_OK)
		r = sqlite3_wal_checkpoint_v2(db, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
	if (r != SQLITE_OK)
		fail(err, -EIO, "INTERNAL_ERROR", "cannot write the log of '%s' back: %s", path,
			sqlite3_errmsg(db));
	sqlite3_close(db);
	return r == SQLITE_OK ? 0 : -EIO;
}
