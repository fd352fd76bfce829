/*
 * The nth system call fails, for every n, in everything the store does in the
 * life of a lease. Whatever happens, the index that is opened afterwards is whole
 * and the same can be done again.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <sqlite3.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/store/db.h"
#include "daemon/store/tree.h"
#include "tests/support/fault.h"
#include "tests/support/scratch.h"

#define ENOUGH 2000 /* calls in a scenario: far more than there are */

static char *directory, *state, *path;
static struct db *db;
static struct tree *tree;
static struct error err;

static void set_up(void)
{
	fault_watch_sqlite();
	directory = scratch_make();
	state = text_format("%s/state", directory);
	path = text_format("%s/index.db", state);
}

static void tear_down(void)
{
	db = db_close(db);
	tree = tree_close(tree);
	umount2(directory, MNT_DETACH); /* in one test it is a mount */
	free(state);
	free(path);
	scratch_remove(directory);
}

/* Skipping ends the process without the tear-down. */
static void skip(const char *why)
{
	tear_down();
	cr_skip_test("%s", why);
}

TestSuite(faults, .init = set_up, .fini = tear_down);

static int open_store(void)
{
	int r = tree_open(state, &tree, &err);

	return r ? r : db_open(path, NULL, NULL, &db, &err);
}

/* As the daemon does: what is kept aside is for this. */
static int open_store_on_a_full_disk(void)
{
	int r = open_store();

	return r == -ENOSPC && tree_spend_reserve(tree) ? db_open(path, NULL, NULL, &db, &err) : r;
}

static void close_store(void)
{
	db = db_close(db);
	tree = tree_close(tree);
}

/* ---- the scenario: two layers, an environment, a lease, and all of it away */

struct names {
	char a[LAYER_ID_LENGTH + 1], b[LAYER_ID_LENGTH + 1];
	char lease[LEASE_ID_LENGTH + 1];
	char hash[SHA256_HEX_SIZE];
};

/* Other names for each n: what is left of the round before is in nobody's way. */
static struct names names_of(unsigned n)
{
	struct names names = { 0 };

	snprintf(names.a, sizeof(names.a), "a%04u", n);
	snprintf(names.b, sizeof(names.b), "b%04u", n);
	snprintf(names.lease, sizeof(names.lease), "lease%u", n);
	snprintf(names.hash, sizeof(names.hash), "%064u", n);
	return names;
}

static int make_layer(const char *id)
{
	_cleanup_close_ int fd = -1;
	struct db_layer layer = {
		.owner = DB_SHARED,
		.kind = "archive",
		.artifact_bytes = 7,
		.bytes = 100,
		.entries = 1,
	};
	int r;

	snprintf(layer.id, sizeof(layer.id), "%s", id);
	r = db_add_layer(db, &layer, &err);
	if (r == 0)
		r = tree_make_layer(tree, id, &fd, &err);
	if (r == 0)
		r = db_set_layer_key(db, id, scratch_hash(id), scratch_hash(id), 8, &err);
	return r ? r : db_publish_layer(db, &layer, 2, &err);
}

static int take_lease(const struct names *names)
{
	const char *const layers[] = { names->a, names->b };
	int r;

	r = db_begin(db, &err);
	if (r)
		return r;
	r = scratch_use_environment(db, names->hash, layers, 2, 3, &err);
	if (r == 0)
		r = scratch_add_lease(db, names->lease, names->hash, names->lease, layers, 2, &err);
	if (r == 0)
		return db_commit(db, &err);
	db_rollback(db);
	return r;
}

static int make_lease_directory(const struct names *names)
{
	const struct tree_link links[] = { { "venv", names->a }, { "models/b", names->b },
		{ "models/copy", NULL } };
	struct identity me = { .uid = identity_may_change() ? 1234 : geteuid(), .gid = getegid() };
	int r = tree_make_lease(tree, names->lease, &me, links, 3, &err);
	_cleanup_free_ char *made = tree_lease_path(tree, names->lease);
	struct stat st;

	cr_expect_eq(stat(made, &st) == 0, r == 0, "all or nothing: %d %s", r, err.text);
	return r;
}

static int write_file(const struct names *names)
{
	struct identity me = { .uid = identity_may_change() ? 1234 : geteuid(), .gid = getegid() };
	int r = tree_write_lease_file(tree, names->lease, &me, "token", "words", 5, &err);
	_cleanup_free_ char *lease = tree_lease_path(tree, names->lease);
	_cleanup_free_ char *made = text_format("%s/token", lease);
	struct stat st;

	cr_expect_eq(stat(made, &st) == 0, r == 0, "all or nothing: %d %s", r, err.text);
	return r;
}

static int read_lists(void)
{
	struct db_layers layers = { 0 };
	struct db_environments environments = { 0 };
	struct db_leases leases = { 0 };
	struct db_totals totals;
	int r;

	r = db_list_layers(db, "", 10, -1, &layers, &err);
	if (r == 0)
		r = db_list_environments(db, "", 10, -1, &environments, &err);
	if (r == 0)
		r = db_list_leases(db, "", 10, -1, &leases, &err);
	if (r == 0)
		r = db_get_totals(db, &totals, &err);
	free(layers.rows);
	free(environments.rows);
	free(leases.rows);
	return r;
}

static int live(const struct names *names)
{
	int r;

	r = make_layer(names->a);
	if (r == 0)
		r = make_layer(names->b);
	if (r == 0)
		r = take_lease(names);
	if (r == 0)
		r = make_lease_directory(names);
	if (r == 0)
		r = write_file(names);
	if (r == 0)
		r = read_lists();
	if (r == 0)
		r = db_mark_durable(db, 100, &err);
	if (r == 0)
		r = db_delete_lease(db, names->lease, 4, &err);
	if (r == 0)
		r = db_condemn_layer(db, names->a, &err);
	return r ? r : db_delete_layer(db, names->a, &err);
}

/* ---- what must hold afterwards */

static void expect_none(sqlite3 *other, const char *sql)
{
	sqlite3_stmt *statement;

	cr_assert_eq(sqlite3_prepare_v2(other, sql, -1, &statement, NULL), SQLITE_OK, "%s",
		sqlite3_errmsg(other));
	cr_expect_eq(sqlite3_step(statement), SQLITE_DONE, "%s", sql);
	sqlite3_finalize(statement);
}

static void expect_whole(void)
{
	sqlite3 *other;

	cr_assert_eq(sqlite3_open(path, &other), SQLITE_OK);
	expect_none(other, "SELECT * FROM pragma_integrity_check WHERE integrity_check != 'ok'");
	expect_none(other, "PRAGMA foreign_key_check");
	expect_none(other,
		"SELECT * FROM leases WHERE"
		" (SELECT COUNT(*) FROM lease_layers WHERE lease = leases.id) != 2");
	expect_none(other,
		"SELECT * FROM lease_layers JOIN layers ON layer = layers.id WHERE state != 2");
	expect_none(other,
		"SELECT * FROM environments AS e WHERE (SELECT COUNT(*) FROM environment_layers AS"
		" l WHERE l.hash = e.hash AND l.owner = e.owner) != 2 OR (SELECT COUNT(*) FROM"
		" components AS c WHERE c.hash = e.hash AND c.owner = e.owner) != 2");
	expect_none(other, "SELECT * FROM layers WHERE state = 2 AND (key = '' OR bytes = 0)");
	cr_expect_eq(sqlite3_close(other), SQLITE_OK);
}

static void run(int error, bool stays)
{
	unsigned n;

	cr_assert_eq(open_store(), 0, "%s", err.text);
	for (n = 1; n < ENOUGH; n++) {
		struct names names = names_of(n);
		bool has_fired;
		int r;

		fault_arm(n, error, stays);
		err = (struct error){ 0 };
		r = live(&names);
		has_fired = fault_disarm();
		cr_expect_leq(r, 0, "an outcome (%d) at %u", r, n);
		cr_expect(r == 0 || err.text[0], "a failure (%d) without words at %u", r, n);
		cr_expect(r == 0 || has_fired, "%d at %u: %s", r, n, err.text);
		close_store();
		cr_assert_eq(open_store(), 0, "at %u: %s", n, err.text);
		expect_whole();
		if (!has_fired)
			break;
	}
	cr_expect_gt(n, 50);
	cr_assert_lt(n, ENOUGH);
}

Test(faults, one_failed_call_tears_nothing)
{
	run(EIO, false);
}

Test(faults, a_disk_that_fills_up_tears_nothing)
{
	run(ENOSPC, true);
}

Test(faults, a_full_disk_is_called_so)
{
	struct names names = names_of(1);

	cr_assert_eq(open_store(), 0, "%s", err.text);
	fault_arm(1, ENOSPC, true);
	cr_expect_eq(make_lease_directory(&names), -ENOSPC);
	cr_expect_str_eq(err.reason, "NO_SPACE");
	cr_expect_eq(db_put_setting(db, "a", "b", &err), -ENOSPC, "%s", err.text);
	cr_expect_str_eq(err.reason, "NO_SPACE");
	fault_disarm();
	cr_expect_eq(db_put_setting(db, "a", "b", &err), 0, "%s", err.text);
}

Test(faults, a_daemon_that_could_not_open_can_open_later)
{
	unsigned n;
	int r;

	for (n = 1; n < ENOUGH; n++) {
		fault_arm(n, EIO, false);
		err = (struct error){ 0 };
		r = open_store();
		cr_expect_leq(r, 0, "an outcome (%d) at %u: %s", r, n, err.text);
		cr_expect(r == 0 || err.text[0], "a failure (%d) without words at %u", r, n);
		close_store();
		if (!fault_disarm())
			break;
		cr_assert_eq(open_store(), 0, "at %u: %s", n, err.text);
		expect_whole();
		close_store();
		/* A new one each time: making it has more places to fail than opening it. */
		unlink(path);
	}
	cr_expect_gt(n, 30);
	cr_assert_lt(n, ENOUGH);
	cr_expect_eq(r, 0, "%s", err.text);
}

static void fill_disk(void)
{
	_cleanup_free_ char *filler = text_format("%s/filler", directory);
	_cleanup_close_ int fd = open(filler, O_WRONLY | O_CREAT | O_APPEND, 0600);
	static char bytes[4096];

	while (write(fd, bytes, sizeof(bytes)) > 0)
		;
	cr_assert_eq(errno, ENOSPC);
}

Test(faults, a_full_disk_can_be_started_on_and_collected)
{
	struct names names = names_of(1);

	if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
		mount("none", directory, "tmpfs", 0, "mode=711,size=16m"))
		skip("cannot mount here");
	cr_assert_eq(open_store(), 0, "%s", err.text);
	cr_assert_eq(make_layer(names.a), 0, "%s", err.text);
	close_store();
	fill_disk();
	cr_expect_eq(open_store_on_a_full_disk(), 0, "%s", err.text);
	cr_expect_eq(db_condemn_layer(db, names.a, &err), 0, "%s", err.text);
	cr_expect_eq(db_delete_layer(db, names.a, &err), 0, "%s", err.text);
}
