#include <criterion/criterion.h>
#include <errno.h>
#include <sqlite3.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/store/db.h"
#include "tests/support/scratch.h"

#define NEWEST 8 /* schema */
#define ENV_A scratch_hash("aaaa1")
#define ENV_B scratch_hash("bbbb1")
#define ENV_C scratch_hash("cccc1")

static const char *const both[] = { "aaaaaaaa", "bbbbbbbb" };

static char *directory, *path;
static struct db *db;
static struct error err;
static int pages_seen, pages_calls;

static void on_pages(int pages, void *data)
{
	pages_seen = pages;
	pages_calls++;
}

static void reopen(void)
{
	db = db_close(db);
	cr_assert_eq(db_open(path, on_pages, NULL, &db, &err), 0, "%s", err.text);
}

static void set_up(void)
{
	directory = scratch_make();
	path = text_format("%s/index.db", directory);
	reopen();
}

static void tear_down(void)
{
	db = db_close(db);
	free(path);
	scratch_remove(directory);
}

TestSuite(db, .init = set_up, .fini = tear_down);

/* Two layers, environment A with both. */
static void fill(void)
{
	cr_assert_eq(scratch_add_layer(db, "aaaaaaaa", 100, 10, &err), 0, "%s", err.text);
	cr_assert_eq(scratch_add_layer(db, "bbbbbbbb", 200, 20, &err), 0, "%s", err.text);
	cr_assert_eq(scratch_use_environment(db, ENV_A, both, 2, 30, &err), 0, "%s", err.text);
}

static void lease(const char *id, const char *request_id)
{
	int r = scratch_add_lease(db, id, ENV_A, request_id, both, 2, &err);

	cr_assert_eq(r, 0, "%d: %s", r, err.text);
}

static struct db_layer layer_of(const char *id)
{
	struct db_layer layer = { 0 };

	cr_assert_eq(db_find_layer(db, id, &layer, &err), 0, "%s", err.text);
	return layer;
}

/* By a connection of our own. */
static void execute(const char *sql)
{
	sqlite3 *other;
	char *message = NULL;

	cr_assert_eq(sqlite3_open(path, &other), SQLITE_OK);
	sqlite3_exec(other, sql, NULL, NULL, &message);
	cr_assert_null(message, "%s: %s", sql, message);
	cr_assert_eq(sqlite3_close(other), SQLITE_OK);
}

static int64_t ask(const char *sql)
{
	sqlite3_stmt *statement;
	sqlite3 *other;
	int64_t answer;

	cr_assert_eq(sqlite3_open(path, &other), SQLITE_OK);
	cr_assert_eq(sqlite3_prepare_v2(other, sql, -1, &statement, NULL), SQLITE_OK, "%s",
		sqlite3_errmsg(other));
	cr_assert_eq(sqlite3_step(statement), SQLITE_ROW);
	answer = sqlite3_column_int64(statement, 0);
	sqlite3_finalize(statement);
	sqlite3_close(other);
	return answer;
}

/* ---- open */

Test(db, a_new_file_is_for_its_owner_only)
{
	struct stat st;
	_cleanup_free_ char *log = text_format("%s-wal", path);

	fill();
	cr_assert_eq(stat(path, &st), 0);
	cr_expect_eq(st.st_mode & 07777, 0600);
	cr_assert_eq(stat(log, &st), 0);
	cr_expect_eq(st.st_mode & 07777, 0600);
}

Test(db, a_file_that_all_may_read_is_closed_to_them)
{
	struct stat st;

	db = db_close(db);
	cr_assert_eq(chmod(path, 0644), 0);
	reopen();
	cr_assert_eq(stat(path, &st), 0);
	cr_expect_eq(st.st_mode & 07777, 0600);
}

Test(db, a_new_file_walks_all_migrations)
{
	cr_expect_eq(ask("PRAGMA user_version"), NEWEST);
	cr_expect_eq(ask("SELECT COUNT(*) FROM sqlite_master WHERE type = 'table'"), 12);
	cr_expect_eq(ask("SELECT COUNT(*) FROM pragma_table_list"
			 " WHERE schema = 'main' AND type = 'table' AND NOT strict"
			 " AND name NOT LIKE 'sqlite_%'"),
		0);
	cr_expect_eq(ask("PRAGMA journal_mode = wal"), 0, "text, read as a number");
}

Test(db, what_was_written_is_there_after_opening_again)
{
	fill();
	lease("lease-1", "request");
	reopen();
	cr_expect_eq(layer_of("aaaaaaaa").leases, 1);
	cr_expect_eq(ask("PRAGMA user_version"), NEWEST);
}

Test(db, a_lease_from_before_there_were_containers_is_of_a_process)
{
	struct db_lease got;

	fill();
	lease("lease-1", "request");
	execute("DROP TABLE installs");
	execute("DROP TABLE artifacts");
	execute("DROP TABLE lease_artifacts");
	execute("DROP TABLE lease_interpreters");
	execute("ALTER TABLE leases DROP COLUMN worker");
	execute("ALTER TABLE leases DROP COLUMN guardian_pid");
	execute("ALTER TABLE leases DROP COLUMN guardian_start");
	execute("ALTER TABLE layers DROP COLUMN shared_bytes");
	execute("DROP INDEX layers_superseded");
	execute("DROP INDEX layers_key");
	execute("ALTER TABLE layers DROP COLUMN superseded");
	execute("CREATE UNIQUE INDEX layers_key ON layers (key, owner)"
		" WHERE state != 3 AND key != ''");
	execute("PRAGMA user_version = 1");
	reopen();
	cr_expect_eq(ask("PRAGMA user_version"), NEWEST);
	cr_assert_eq(db_find_lease(db, "lease-1", &got, &err), 0, "%s", err.text);
	cr_expect_eq(got.worker, DB_WORKER_PROCESS);
	cr_expect_eq(got.guardian_pid, 0);
	cr_expect_eq(got.created, 5);
}

Test(db, a_later_schema_is_refused)
{
	struct db *other = NULL;

	db = db_close(db);
	execute("PRAGMA user_version = 99");
	cr_expect_eq(db_open(path, NULL, NULL, &other, &err), DB_E_TOO_NEW);
	cr_expect_null(other);
	cr_expect(strstr(err.text, "later version"), "%s", err.text);
	cr_expect(strstr(err.text, path), "%s", err.text);
}

Test(db, a_damaged_file_is_named)
{
	struct db *other = NULL;
	FILE *file;

	db = db_close(db);
	file = fopen(path, "w");
	cr_assert(file);
	for (int i = 0; i < 1000; i++)
		fputs("this is no database", file);
	fclose(file);
	cr_expect_eq(db_open(path, NULL, NULL, &other, &err), -EIO);
	cr_expect(strstr(err.text, "file is not a database"), "%s", err.text);
	cr_expect(strstr(err.text, path), "%s", err.text);
}

Test(db, a_database_of_somebody_else_is_left_alone)
{
	struct db *other = NULL;

	db = db_close(db);
	cr_assert_eq(unlink(path), 0);
	execute("CREATE TABLE theirs (x)");
	cr_expect_eq(db_open(path, NULL, NULL, &other, &err), -EINVAL);
	cr_expect_eq(ask("SELECT COUNT(*) FROM sqlite_master"), 1);
}

Test(db, a_link_or_a_directory_is_refused)
{
	_cleanup_free_ char *link = text_format("%s/link", directory);
	struct db *other = NULL;

	cr_assert_eq(symlink(path, link), 0);
	cr_expect_eq(db_open(link, NULL, NULL, &other, &err), -ELOOP);
	cr_expect_lt(db_open(directory, NULL, NULL, &other, &err), 0);
}

Test(db, commits_say_how_long_the_log_is)
{
	int before = pages_calls;

	fill();
	cr_expect_gt(pages_calls, before);
	cr_expect_gt(pages_seen, 0);
}

Test(db, the_log_is_never_copied_back_by_ourselves)
{
	struct stat before, after;
	int i;

	cr_assert_eq(stat(path, &before), 0);
	for (i = 0; i < 3000; i++) {
		char value[32];

		snprintf(value, sizeof(value), "%d", i);
		cr_assert_eq(db_put_setting(db, "x", value, &err), 0);
	}
	cr_assert_eq(stat(path, &after), 0);
	cr_expect_eq(after.st_mtim.tv_nsec, before.st_mtim.tv_nsec);
	cr_expect_gt(pages_seen, 2000);
}

/* ---- transactions */

Test(db, a_rollback_undoes_several_functions)
{
	struct db_layer layer;

	cr_assert_eq(db_begin(db, &err), 0);
	fill();
	db_rollback(db);
	cr_expect_eq(db_find_layer(db, "aaaaaaaa", &layer, &err), DB_E_NOT_FOUND);
	db_rollback(db);
}

Test(db, a_commit_keeps_several_functions)
{
	cr_assert_eq(db_begin(db, &err), 0);
	fill();
	lease("lease-1", "");
	cr_assert_eq(db_commit(db, &err), 0);
	reopen();
	cr_expect_eq(layer_of("bbbbbbbb").leases, 1);
}

Test(db, an_outcome_does_not_end_a_transaction)
{
	cr_assert_eq(db_begin(db, &err), 0);
	fill();
	cr_expect_eq(scratch_add_layer(db, "aaaaaaaa", 1, 1, &err), DB_E_EXISTS);
	cr_expect_eq(db_commit(db, &err), 0);
	cr_expect_eq(layer_of("aaaaaaaa").bytes, 100);
}

Test(db, what_fails_within_a_transaction_dooms_it)
{
	const char *const gone[] = { "aaaaaaaa", "nowhere" };
	struct db_layer layer;

	cr_assert_eq(db_begin(db, &err), 0);
	fill();
	cr_expect_eq(scratch_add_lease(db, "lease-1", ENV_A, "", gone, 2, &err), -ENOENT);
	cr_expect_eq(db_find_layer(db, "aaaaaaaa", &layer, &err), -ENOENT);
	cr_expect_eq(db_commit(db, &err), -ENOENT);
	cr_expect_eq(db_find_layer(db, "aaaaaaaa", &layer, &err), DB_E_NOT_FOUND);
	fill();
}

Test(db, a_crash_within_a_transaction_leaves_nothing_of_it)
{
	int status;
	pid_t child;

	fill();
	db = db_close(db);
	child = fork();
	if (child == 0) {
		if (db_open(path, NULL, NULL, &db, NULL) || db_begin(db, NULL) ||
			scratch_add_lease(db, "lease-1", ENV_A, "", both, 2, NULL) ||
			db_condemn_layer(db, "nowhere", NULL) != -ENOENT)
			_exit(1);
		_exit(7);
	}
	cr_assert_eq(waitpid(child, &status, 0), child);
	cr_assert_eq(WEXITSTATUS(status), 7);
	reopen();
	cr_expect_eq(layer_of("aaaaaaaa").leases, 0);
	cr_expect_eq(ask("SELECT COUNT(*) FROM leases"), 0);
}

Test(db, a_crash_after_a_commit_loses_nothing)
{
	int status;
	pid_t child;

	fill();
	db = db_close(db);
	child = fork();
	if (child == 0)
		_exit(db_open(path, NULL, NULL, &db, NULL) ||
			scratch_add_lease(db, "lease-1", ENV_A, "", both, 2, NULL));
	cr_assert_eq(waitpid(child, &status, 0), child);
	cr_assert_eq(WEXITSTATUS(status), 0);
	reopen();
	cr_expect_eq(layer_of("aaaaaaaa").leases, 1);
}

/* ---- settings and digests */

Test(db, a_setting_is_what_was_put_last)
{
	char value[8] = "";

	cr_expect_eq(db_get_setting(db, "salt", value, sizeof(value), &err), DB_E_NOT_FOUND);
	cr_assert_eq(db_put_setting(db, "salt", "one", &err), 0);
	cr_assert_eq(db_put_setting(db, "salt", "two", &err), 0);
	cr_assert_eq(db_get_setting(db, "salt", value, sizeof(value), &err), 0);
	cr_expect_str_eq(value, "two");
}

static const struct db_digest digest = {
	.file = { .dev = 1, .ino = UINT64_MAX, .size = 33, .mtime_ns = -4, .ctime_ns = 5 },
	.reader = "ann",
	.sha256 = "digest-aaaaaaaa",
};

Test(db, a_digest_is_found_for_the_same_file_and_reader_only)
{
	char sha256[SHA256_HEX_SIZE];
	struct fs_identity file;
	int i;

	cr_assert_eq(db_put_digest(db, &digest, 1, &err), 0);
	cr_assert_eq(db_find_digest(db, &digest.file, "ann", sha256, &err), 0);
	cr_expect_str_eq(sha256, "digest-aaaaaaaa");
	cr_expect_eq(db_find_digest(db, &digest.file, "bob", sha256, &err), DB_E_NOT_FOUND);
	for (i = 0; i < 5; i++) {
		file = digest.file;
		file.dev += i == 0;
		file.ino -= i == 1;
		file.size += i == 2;
		file.mtime_ns += i == 3;
		file.ctime_ns += i == 4;
		cr_expect_eq(db_find_digest(db, &file, "ann", sha256, &err), DB_E_NOT_FOUND);
	}
}

Test(db, a_file_that_changed_has_one_digest)
{
	struct db_digest changed = digest;
	char sha256[SHA256_HEX_SIZE];

	changed.file.mtime_ns++;
	memcpy(changed.sha256, "new", sizeof("new"));
	cr_assert_eq(db_put_digest(db, &digest, 1, &err), 0);
	cr_assert_eq(db_put_digest(db, &changed, 1, &err), 0);
	cr_expect_eq(db_find_digest(db, &digest.file, "ann", sha256, &err), DB_E_NOT_FOUND);
	cr_assert_eq(db_find_digest(db, &changed.file, "ann", sha256, &err), 0);
	cr_expect_str_eq(sha256, "new");
}

Test(db, sizes_are_known_from_digests_and_layers)
{
	bool is_known;

	fill();
	cr_assert_eq(db_put_digest(db, &digest, 1, &err), 0);
	cr_assert_eq(db_has_artifact_size(db, 33, &is_known, &err), 0);
	cr_expect(is_known);
	cr_assert_eq(db_has_artifact_size(db, 7, &is_known, &err), 0);
	cr_expect(is_known);
	cr_assert_eq(db_has_artifact_size(db, 8, &is_known, &err), 0);
	cr_expect_not(is_known);
}

Test(db, old_digests_are_forgotten_unless_a_layer_of_theirs_was_used)
{
	char sha256[SHA256_HEX_SIZE];
	struct db_digest other = digest;

	fill();
	other.file.ino = 2;
	memcpy(other.sha256, "other", sizeof("other"));
	cr_assert_eq(db_put_digest(db, &digest, 5, &err), 0);
	cr_assert_eq(db_put_digest(db, &other, 5, &err), 0);
	cr_assert_eq(db_trim_digests(db, 5, &err), 0);
	cr_expect_eq(db_find_digest(db, &other.file, "ann", sha256, &err), 0);
	cr_assert_eq(db_trim_digests(db, 30, &err), 0);
	cr_expect_eq(db_find_digest(db, &other.file, "ann", sha256, &err), DB_E_NOT_FOUND);
	cr_expect_eq(db_find_digest(db, &digest.file, "ann", sha256, &err), 0);
	cr_assert_eq(db_trim_digests(db, 31, &err), 0);
	cr_expect_eq(db_find_digest(db, &digest.file, "ann", sha256, &err), DB_E_NOT_FOUND);
}

/* ---- layers */

Test(db, a_layer_is_read_as_it_was_written)
{
	struct db_layer layer = {
		.id = "cccccccc",
		.key = "key",
		.owner = 1000,
		.kind = "file",
		.name = "udf's.py",
		.digest = "digest",
		.artifact_bytes = UINT64_C(1) << 40,
		.created = 3,
	};
	struct db_layer got;

	cr_assert_eq(db_add_layer(db, &layer, &err), 0, "%s", err.text);
	got = layer_of("cccccccc");
	cr_expect_str_eq(got.id, layer.id);
	cr_expect_str_eq(got.key, layer.key);
	cr_expect_str_eq(got.kind, layer.kind);
	cr_expect_str_eq(got.name, layer.name);
	cr_expect_str_eq(got.digest, layer.digest);
	cr_expect_eq(got.owner, 1000);
	cr_expect_eq(got.artifact_bytes, layer.artifact_bytes);
	cr_expect_eq(got.state, LAYER_PREPARING);
	cr_expect_eq(got.created, 3);
	cr_expect_eq(got.used, 3);

	got.bytes = 11;
	got.entries = 12;
	got.shared_bytes = 5;
	cr_assert_eq(db_publish_layer(db, &got, 13, &err), 0);
	got = layer_of("cccccccc");
	cr_expect_eq(got.state, LAYER_READY);
	cr_expect_eq(got.bytes, 11);
	cr_expect_eq(got.entries, 12);
	cr_expect_eq(got.shared_bytes, 5);
	cr_expect_eq(got.used, 13);
	cr_expect_not(got.durable);
}

Test(db, a_layer_is_found_by_its_key_only_while_it_is_ready)
{
	struct db_layer layer = { .id = "cccccccc", .key = "key", .owner = 1000, .kind = "file" };
	struct db_layer got;

	cr_assert_eq(db_add_layer(db, &layer, &err), 0);
	cr_expect_eq(db_find_layer_by_key(db, "key", 1000, &got, &err), DB_E_NOT_FOUND);
	cr_assert_eq(db_publish_layer(db, &layer, 1, &err), 0);
	cr_expect_eq(db_find_layer_by_key(db, "key", 1000, &got, &err), 0);
	cr_expect_str_eq(got.id, "cccccccc");
	cr_expect_eq(db_find_layer_by_key(db, "key", DB_SHARED, &got, &err), DB_E_NOT_FOUND);
	cr_expect_eq(db_find_layer_by_key(db, "", 1000, &got, &err), DB_E_NOT_FOUND);
	cr_assert_eq(db_condemn_layer(db, "cccccccc", &err), 0);
	cr_expect_eq(db_find_layer_by_key(db, "key", 1000, &got, &err), DB_E_NOT_FOUND);
}

Test(db, a_key_and_owner_are_one_layers_until_it_is_condemned)
{
	struct db_layer layer = { .id = "cccccccc", .key = "key", .owner = 1000, .kind = "file" };

	cr_assert_eq(db_add_layer(db, &layer, &err), 0);
	memcpy(layer.id, "dddddddd", sizeof(layer.id));
	cr_expect_eq(db_add_layer(db, &layer, &err), DB_E_EXISTS);
	layer.owner = 1001;
	cr_expect_eq(db_add_layer(db, &layer, &err), 0);
	cr_assert_eq(db_condemn_layer(db, "cccccccc", &err), 0);
	memcpy(layer.id, "eeeeeeee", sizeof(layer.id));
	layer.owner = 1000;
	cr_expect_eq(db_add_layer(db, &layer, &err), 0);
}

Test(db, a_key_can_be_given_later_and_once)
{
	struct db_layer layer = { .id = "cccccccc", .owner = 1000, .kind = "file" };

	cr_assert_eq(db_add_layer(db, &layer, &err), 0);
	memcpy(layer.id, "dddddddd", sizeof(layer.id));
	cr_assert_eq(db_add_layer(db, &layer, &err), 0, "two without a key");
	cr_expect_eq(db_set_layer_key(db, "cccccccc", "key", "digest", 9, &err), 0);
	cr_expect_eq(db_set_layer_key(db, "dddddddd", "key", "digest", 9, &err), DB_E_EXISTS);
	cr_expect_eq(db_set_layer_key(db, "cccccccc", "other", "digest", 9, &err), -EINVAL);
	cr_expect_str_eq(layer_of("cccccccc").key, "key");
	cr_expect_str_eq(layer_of("cccccccc").digest, "digest");
	cr_expect_eq(layer_of("cccccccc").artifact_bytes, 9);
	cr_expect_str_eq(layer_of("dddddddd").key, "");
}

static int publish(const char *id)
{
	struct db_layer layer = { 0 };

	snprintf(layer.id, sizeof(layer.id), "%s", id);
	return db_publish_layer(db, &layer, 1, &err);
}

Test(db, a_layer_moves_forward_only)
{
	fill();
	cr_expect_eq(publish("aaaaaaaa"), -EINVAL);
	cr_expect_eq(publish("nowhere"), -EINVAL);
	cr_assert_eq(db_condemn_layer(db, "aaaaaaaa", &err), 0);
	cr_expect_eq(publish("aaaaaaaa"), -EINVAL);
	cr_expect_eq(db_condemn_layer(db, "aaaaaaaa", &err), 0, "twice is once");
	cr_expect_eq(db_condemn_layer(db, "nowhere", &err), -ENOENT);
	cr_expect_eq(layer_of("aaaaaaaa").state, LAYER_DELETING);
}

Test(db, a_condemned_layer_takes_its_environments_with_it)
{
	struct db_environment environment;
	const char *const one[] = { "bbbbbbbb" };

	fill();
	cr_assert_eq(scratch_use_environment(db, ENV_B, one, 1, 31, &err), 0);
	cr_assert_eq(db_condemn_layer(db, "aaaaaaaa", &err), 0);
	cr_expect_eq(db_find_environment(db, ENV_A, -1, &environment, &err), DB_E_NOT_FOUND);
	cr_expect_eq(db_find_environment(db, ENV_B, -1, &environment, &err), 0);
	cr_expect_eq(layer_of("bbbbbbbb").state, LAYER_READY);
	cr_expect_eq(ask("SELECT COUNT(*) FROM components WHERE hash LIKE 'aaaa%'"), 0);
	cr_expect_eq(db_delete_layer(db, "aaaaaaaa", &err), 0);
	cr_expect_eq(db_delete_layer(db, "aaaaaaaa", &err), DB_E_NOT_FOUND);
}

Test(db, a_leased_layer_is_neither_condemned_nor_deleted)
{
	fill();
	lease("lease-1", "");
	cr_expect_eq(db_condemn_layer(db, "aaaaaaaa", &err), -EBUSY);
	cr_expect_lt(db_delete_layer(db, "aaaaaaaa", &err), 0);
	cr_expect_eq(layer_of("aaaaaaaa").state, LAYER_READY);
	cr_assert_eq(db_delete_lease(db, "lease-1", 50, &err), 0);
	cr_expect_lt(db_delete_layer(db, "aaaaaaaa", &err), 0, "its environment is there");
	cr_expect_eq(db_condemn_layer(db, "aaaaaaaa", &err), 0);
	cr_expect_eq(db_delete_layer(db, "aaaaaaaa", &err), 0);
}

Test(db, a_refusal_to_condemn_does_not_doom_a_transaction)
{
	fill();
	lease("lease-1", "");
	cr_assert_eq(db_begin(db, &err), 0);
	cr_expect_eq(db_condemn_layer(db, "aaaaaaaa", &err), -EBUSY);
	cr_assert_eq(scratch_add_layer(db, "cccccccc", 1, 1, &err), 0);
	cr_assert_eq(db_condemn_layer(db, "cccccccc", &err), 0);
	cr_expect_eq(db_commit(db, &err), 0);
	cr_expect_eq(layer_of("cccccccc").state, LAYER_DELETING);
}

Test(db, an_environment_of_a_lease_keeps_layers_that_the_lease_does_not_name)
{
	fill();
	cr_assert_eq(scratch_add_lease(db, "lease-1", ENV_A, "", both, 1, &err), 0);
	cr_expect_eq(db_condemn_layer(db, "bbbbbbbb", &err), -EBUSY);
}

Test(db, layers_published_before_a_sync_become_durable)
{
	fill();
	cr_assert_eq(db_mark_durable(db, 20, &err), 0);
	cr_expect(layer_of("aaaaaaaa").durable);
	cr_expect_not(layer_of("bbbbbbbb").durable);
}

Test(db, layers_are_listed_in_pages)
{
	const char *after = "";
	char id[LAYER_ID_LENGTH + 1];
	int i, pages = 0, rows = 0;

	for (i = 0; i < 7; i++) {
		snprintf(id, sizeof(id), "layer-%d", i);
		cr_assert_eq(scratch_add_layer(db, id, 1, i, &err), 0);
	}
	for (;;) {
		struct db_layers list = { 0 };

		cr_assert_eq(db_list_layers(db, after, 3, -1, &list, &err), 0);
		if (list.count == 0)
			break;
		cr_expect_leq(list.count, 3);
		cr_expect_gt(strcmp(list.rows[0].id, after), 0);
		snprintf(id, sizeof(id), "%s", list.rows[list.count - 1].id);
		after = id;
		rows += (int)list.count;
		pages++;
		free(list.rows);
	}
	cr_expect_eq(rows, 7);
	cr_expect_eq(pages, 3);
}

Test(db, a_uid_sees_its_own_layers_and_shared_ones)
{
	struct db_layer layer = { .id = "cccccccc", .owner = 1000, .kind = "file" };
	struct db_layers list = { 0 };

	fill();
	cr_assert_eq(db_add_layer(db, &layer, &err), 0);
	memcpy(layer.id, "dddddddd", sizeof(layer.id));
	layer.owner = 1001;
	cr_assert_eq(db_add_layer(db, &layer, &err), 0);
	cr_assert_eq(db_list_layers(db, "", 100, 1000, &list, &err), 0);
	cr_assert_eq(list.count, 3);
	cr_expect_str_eq(list.rows[2].id, "cccccccc");
	free(list.rows);
	cr_assert_eq(db_list_layers(db, "", 100, -1, &list, &err), 0);
	cr_expect_eq(list.count, 4);
	free(list.rows);
}

Test(db, layers_are_listed_by_state)
{
	struct db_layer layer = { .id = "cccccccc", .owner = 1000, .kind = "file" };
	struct db_layers list = { 0 };

	fill();
	cr_assert_eq(db_add_layer(db, &layer, &err), 0);
	cr_assert_eq(db_list_layers_in_state(db, LAYER_PREPARING, &list, &err), 0);
	cr_expect_eq(list.count, 1);
	free(list.rows);
	cr_assert_eq(db_list_layers_in_state(db, LAYER_DELETING, &list, &err), 0);
	cr_expect_eq(list.count, 0);
	cr_expect_null(list.rows);
}

Test(db, idle_layers_come_least_recently_used_first)
{
	struct db_layers list = { 0 };
	const char *const a[] = { "aaaaaaaa" };

	fill();
	cr_assert_eq(scratch_add_layer(db, "cccccccc", 1, 25, &err), 0);
	cr_assert_eq(scratch_use_environment(db, ENV_B, a, 1, 40, &err), 0);
	cr_assert_eq(db_list_idle_layers(db, &list, &err), 0);
	cr_assert_eq(list.count, 3);
	cr_expect_str_eq(list.rows[0].id, "cccccccc");
	cr_expect_str_eq(list.rows[1].id, "bbbbbbbb");
	cr_expect_str_eq(list.rows[2].id, "aaaaaaaa");
	free(list.rows);

	lease("lease-1", "");
	cr_assert_eq(db_list_idle_layers(db, &list, &err), 0);
	cr_expect_eq(list.count, 1);
	free(list.rows);

	cr_assert_eq(db_delete_lease(db, "lease-1", 24, &err), 0);
	cr_assert_eq(db_list_idle_layers(db, &list, &err), 0);
	cr_assert_eq(list.count, 3);
	cr_expect_str_eq(list.rows[2].id, "cccccccc");
	free(list.rows);
}

/* ---- environments */

Test(db, using_an_environment_again_counts)
{
	struct db_environment environment;

	fill();
	cr_assert_eq(scratch_use_environment(db, ENV_A, both, 2, 70, &err), 0);
	cr_assert_eq(db_find_environment(db, ENV_A, -1, &environment, &err), 0);
	cr_expect_eq(environment.uses, 2);
	cr_expect_eq(environment.created, 30);
	cr_expect_eq(environment.used, 70);
	cr_expect_eq(environment.bytes, 300);
	cr_expect_eq(environment.leases, 0);
	cr_expect_eq(layer_of("aaaaaaaa").used, 70);
	cr_expect_eq(layer_of("bbbbbbbb").used, 70);
}

Test(db, an_environment_may_have_no_layers_or_one_twice)
{
	const char *const twice[] = { "aaaaaaaa", "aaaaaaaa" };
	struct db_environment environment;
	struct db_ids ids = { 0 };

	fill();
	cr_expect_eq(scratch_use_environment(db, ENV_B, twice, 2, 1, &err), 0);
	cr_assert_eq(db_list_environment_layers(db, ENV_B, DB_SHARED, &ids, &err), 0);
	cr_expect_eq(ids.count, 2);
	free(ids.rows);
	cr_assert_eq(db_find_environment(db, ENV_B, -1, &environment, &err), 0);
	cr_expect_eq(environment.bytes, 100, "counted once");
	cr_expect_eq(scratch_use_environment(db, scratch_hash("c"), NULL, 0, 1, &err), 0);
	cr_expect_eq(scratch_use_environment(db, scratch_hash("c"), NULL, 0, 2, &err), 0);
}

Test(db, a_layer_that_is_not_ready_makes_no_environment)
{
	struct db_environment environment;

	fill();
	cr_assert_eq(db_condemn_layer(db, "bbbbbbbb", &err), 0);
	cr_expect_eq(scratch_use_environment(db, ENV_B, both, 2, 1, &err), -ENOENT);
	cr_expect(strstr(err.text, "bbbbbbbb"), "%s", err.text);
	cr_expect_eq(db_find_environment(db, ENV_B, -1, &environment, &err), DB_E_NOT_FOUND);
}

Test(db, components_and_layers_keep_their_order)
{
	const char *const backwards[] = { "bbbbbbbb", "aaaaaaaa" };
	struct db_components components = { 0 };
	struct db_ids ids = { 0 };

	fill();
	cr_assert_eq(scratch_use_environment(db, ENV_B, backwards, 2, 1, &err), 0);
	cr_assert_eq(db_list_environment_layers(db, ENV_B, DB_SHARED, &ids, &err), 0);
	cr_assert_eq(ids.count, 2);
	cr_expect_str_eq(ids.rows[0], "bbbbbbbb");
	cr_expect_str_eq(ids.rows[1], "aaaaaaaa");
	free(ids.rows);
	cr_assert_eq(db_list_components(db, ENV_B, DB_SHARED, &components, &err), 0);
	cr_assert_eq(components.count, 2);
	cr_expect_str_eq(components.rows[0].kind, "archive");
	cr_expect_str_eq(components.rows[0].name, "venv");
	cr_expect_str_eq(components.rows[0].value, "abc");
	cr_expect_str_eq(components.rows[1].kind, "python");
	db_components_deinit(&components);
	cr_assert_eq(db_list_components(db, ENV_B, 5, &components, &err), 0);
	cr_expect_eq(components.count, 0);
}

Test(db, an_environment_is_found_by_the_beginning_of_its_hash)
{
	struct db_environment environment;

	fill();
	cr_assert_eq(scratch_use_environment(db, scratch_hash("aaaa2"), both, 2, 1, &err), 0);
	cr_expect_eq(db_find_environment(db, "aaaa1", -1, &environment, &err), 0);
	cr_expect_str_eq(environment.hash, ENV_A);
	cr_expect_eq(db_find_environment(db, "aaaa", -1, &environment, &err), DB_E_EXISTS);
	cr_expect_eq(db_find_environment(db, "aaaa3", -1, &environment, &err), DB_E_NOT_FOUND);
	cr_expect_eq(db_find_environment(db, "%", -1, &environment, &err), DB_E_NOT_FOUND);
}

static void use_as(const char *hash, int64_t owner)
{
	cr_assert_eq(db_use_environment(db, hash, owner, NULL, 0, NULL, 0, 1, &err), 0);
}

Test(db, a_uid_does_not_find_the_environments_of_others)
{
	struct db_environment environment;

	use_as(ENV_A, 1000);
	use_as(ENV_A, 1001);
	use_as(ENV_B, DB_SHARED);
	cr_expect_eq(db_find_environment(db, ENV_A, 1001, &environment, &err), 0);
	cr_expect_eq(environment.owner, 1001);
	cr_expect_eq(db_find_environment(db, ENV_A, 1002, &environment, &err), DB_E_NOT_FOUND);
	cr_expect_eq(db_find_environment(db, ENV_B, 1002, &environment, &err), 0);
	cr_expect_eq(db_find_environment(db, ENV_A, -1, &environment, &err), DB_E_EXISTS);
}

Test(db, the_latest_used_environments_of_a_uid_come_first)
{
	struct db_environments list = { 0 };

	use_as(ENV_A, 1000);
	use_as(ENV_B, 1001);
	cr_assert_eq(db_use_environment(db, ENV_C, 1000, NULL, 0, NULL, 0, 2, &err), 0);
	cr_assert_eq(db_list_latest_environments(db, 5, 1000, &list, &err), 0);
	cr_assert_eq(list.count, 2);
	cr_expect_str_eq(list.rows[0].hash, ENV_C);
	cr_expect_str_eq(list.rows[1].hash, ENV_A);
	free(list.rows);
	cr_assert_eq(db_list_latest_environments(db, 2, -1, &list, &err), 0);
	cr_assert_eq(list.count, 2);
	cr_expect_str_eq(list.rows[0].hash, ENV_C);
	free(list.rows);
}

Test(db, environments_are_listed_in_pages_that_tell_owners_apart)
{
	struct db_environments list = { 0 };
	char after[SHA256_HEX_SIZE + 24] = "";
	size_t rows = 0;

	use_as(ENV_A, 1000);
	use_as(ENV_A, 1001);
	use_as(ENV_A, DB_SHARED);
	use_as(ENV_B, 1000);
	for (;;) {
		cr_assert_eq(db_list_environments(db, after, 1, -1, &list, &err), 0);
		if (!list.count)
			break;
		cr_assert_eq(list.count, 1);
		snprintf(after, sizeof(after), "%s/%lld", list.rows[0].hash,
			(long long)list.rows[0].owner);
		free(list.rows);
		rows++;
	}
	cr_expect_eq(rows, 4);
	cr_assert_eq(db_list_environments(db, "", 10, 1001, &list, &err), 0);
	cr_expect_eq(list.count, 2);
	free(list.rows);
	cr_assert_eq(db_list_environments(db, ENV_A, 10, -1, &list, &err), 0);
	cr_expect_eq(list.count, 1);
	free(list.rows);
	cr_expect_eq(db_list_environments(db, "abc/xyz", 10, -1, &list, &err), -EINVAL);
}

Test(db, old_environments_without_a_lease_can_be_forgotten)
{
	struct db_environment environment;

	fill();
	lease("lease-1", "");
	use_as(ENV_B, 1000);
	cr_assert_eq(db_trim_environments(db, 1000, &err), 0);
	cr_expect_eq(db_find_environment(db, ENV_A, -1, &environment, &err), 0);
	cr_expect_eq(db_find_environment(db, ENV_B, -1, &environment, &err), DB_E_NOT_FOUND);
}

/* ---- leases */

Test(db, a_lease_is_read_as_it_was_written)
{
	const struct db_lease written = {
		.id = "lease-1",
		.uid = UINT32_MAX - 1,
		.gid = 2,
		.owner = DB_SHARED,
		.request_id = "request",
		.request_digest = "digest",
		.label = "it's a 'job'",
		.holder = DB_HOLDER_TIME,
		.pid = 3,
		.pid_start = UINT64_MAX,
		.guardian_pid = 4711,
		.guardian_start = UINT64_MAX - 1,
		.boot_id = "01234567-0123-0123-0123-0123456789ab",
		.expires = 4,
		.grace_ms = UINT32_MAX,
		.created = 6,
		.worker = DB_WORKER_DOCKER,
	};
	struct db_lease to_write = written, got;

	fill();
	memcpy(to_write.hash, ENV_A, SHA256_HEX_SIZE);
	cr_assert_eq(db_add_lease(db, &to_write, both, 2, &err), 0, "%s", err.text);
	memset(&got, 0xff, sizeof(got));
	cr_assert_eq(db_find_lease(db, "lease-1", &got, &err), 0);
	cr_expect_str_eq(got.id, written.id);
	cr_expect_str_eq(got.hash, ENV_A);
	cr_expect_str_eq(got.request_id, written.request_id);
	cr_expect_str_eq(got.request_digest, written.request_digest);
	cr_expect_str_eq(got.label, written.label);
	cr_expect_str_eq(got.boot_id, written.boot_id);
	cr_expect_eq(got.uid, written.uid);
	cr_expect_eq(got.gid, written.gid);
	cr_expect_eq(got.owner, written.owner);
	cr_expect_eq(got.holder, written.holder);
	cr_expect_eq(got.pid, written.pid);
	cr_expect_eq(got.pid_start, written.pid_start);
	cr_expect_eq(got.guardian_pid, written.guardian_pid);
	cr_expect_eq(got.guardian_start, written.guardian_start);
	cr_expect_eq(got.expires, written.expires);
	cr_expect_eq(got.grace_ms, written.grace_ms);
	cr_expect_eq(got.created, written.created);
	cr_expect_eq(got.worker, written.worker);
	cr_expect_eq(db_find_lease(db, "lease-2", &got, &err), DB_E_NOT_FOUND);
}

Test(db, a_leases_interpreter_is_kept_as_long_as_it)
{
	char *found = NULL, *home = NULL;

	fill();
	lease("lease-1", "request");
	cr_expect_eq(db_find_lease_interpreter(db, "lease-1", &found, &home, &err), DB_E_NOT_FOUND);
	cr_assert_eq(db_add_lease_interpreter(db, "lease-1", "/bin/python", "", &err), 0);
	cr_assert_eq(db_find_lease_interpreter(db, "lease-1", &found, &home, &err), 0);
	cr_expect_str_eq(found, "/bin/python");
	cr_expect_str_eq(home, "");
	free(found);
	free(home);
	cr_assert_eq(db_delete_lease(db, "lease-1", 1, &err), 0);
	cr_expect_eq(db_find_lease_interpreter(db, "lease-1", &found, &home, &err), DB_E_NOT_FOUND);
}

Test(db, a_request_id_is_one_lease_of_a_uid)
{
	struct db_lease got;

	fill();
	lease("lease-1", "request");
	cr_expect_eq(
		scratch_add_lease(db, "lease-2", ENV_A, "request", both, 2, &err), DB_E_EXISTS);
	cr_expect_eq(scratch_add_lease(db, "lease-1", ENV_A, "", both, 2, &err), DB_E_EXISTS);
	lease("lease-3", "");
	lease("lease-4", "");
	cr_assert_eq(db_find_lease_by_request(db, 1000, "request", &got, &err), 0);
	cr_expect_str_eq(got.id, "lease-1");
	cr_expect_eq(db_find_lease_by_request(db, 1001, "request", &got, &err), DB_E_NOT_FOUND);
	cr_expect_eq(db_find_lease_by_request(db, 1000, "", &got, &err), DB_E_NOT_FOUND);
	cr_assert_eq(db_delete_lease(db, "lease-1", 1, &err), 0);
	lease("lease-2", "request");
}

Test(db, a_lease_needs_its_environment_and_ready_layers)
{
	fill();
	cr_expect_lt(scratch_add_lease(db, "lease-1", ENV_B, "", both, 2, &err), 0);
	cr_assert_eq(scratch_use_environment(db, ENV_B, both, 1, 1, &err), 0);
	cr_assert_eq(db_condemn_layer(db, "bbbbbbbb", &err), 0);
	cr_expect_eq(scratch_add_lease(db, "lease-1", ENV_B, "", both, 2, &err), -ENOENT);
	cr_expect_eq(ask("SELECT COUNT(*) FROM leases"), 0);
}

Test(db, deleting_a_lease_frees_its_layers_and_marks_them_used)
{
	struct db_ids ids = { 0 };

	fill();
	lease("lease-1", "");
	cr_assert_eq(db_list_lease_layers(db, "lease-1", &ids, &err), 0);
	cr_assert_eq(ids.count, 2);
	cr_expect_str_eq(ids.rows[0], "aaaaaaaa");
	cr_expect_str_eq(ids.rows[1], "bbbbbbbb");
	free(ids.rows);
	cr_expect_eq(layer_of("aaaaaaaa").leases, 1);
	cr_assert_eq(db_delete_lease(db, "lease-1", 99, &err), 0);
	cr_expect_eq(layer_of("aaaaaaaa").leases, 0);
	cr_expect_eq(layer_of("aaaaaaaa").used, 99);
	cr_expect_eq(layer_of("bbbbbbbb").used, 99);
	cr_expect_eq(db_delete_lease(db, "lease-1", 99, &err), DB_E_NOT_FOUND);
	cr_expect_eq(ask("SELECT COUNT(*) FROM lease_layers"), 0);
}

Test(db, an_expiry_is_moved)
{
	struct db_lease got;

	fill();
	lease("lease-1", "");
	cr_assert_eq(db_set_lease_expiry(db, "lease-1", 1234, &err), 0);
	cr_assert_eq(db_find_lease(db, "lease-1", &got, &err), 0);
	cr_expect_eq(got.expires, 1234);
	cr_expect_eq(db_set_lease_expiry(db, "lease-2", 1234, &err), DB_E_NOT_FOUND);
}

Test(db, leases_are_listed_by_uid)
{
	struct db_leases list = { 0 };

	fill();
	lease("lease-1", "");
	lease("lease-2", "x");
	lease("lease-3", "");
	cr_assert_eq(db_list_leases(db, "lease-1", 1, -1, &list, &err), 0);
	cr_assert_eq(list.count, 1);
	cr_expect_str_eq(list.rows[0].id, "lease-2");
	free(list.rows);
	cr_assert_eq(db_list_leases(db, "", 10, 1000, &list, &err), 0);
	cr_expect_eq(list.count, 3);
	free(list.rows);
	cr_assert_eq(db_list_leases(db, "", 10, 1001, &list, &err), 0);
	cr_expect_eq(list.count, 0);
}

Test(db, totals_are_those_of_ready_layers)
{
	struct db_layer layer = { .id = "cccccccc", .owner = 1000, .kind = "file" };
	struct db_totals totals;

	cr_assert_eq(db_get_totals(db, &totals, &err), 0);
	cr_expect_eq(totals.layers, 0);
	cr_expect_eq(totals.layer_bytes, 0);
	fill();
	cr_assert_eq(db_add_layer(db, &layer, &err), 0);
	cr_assert_eq(scratch_add_lease(db, "lease-1", ENV_A, "", both, 1, &err), 0);
	cr_assert_eq(scratch_add_lease(db, "lease-2", ENV_A, "", both, 1, &err), 0);
	cr_assert_eq(db_get_totals(db, &totals, &err), 0);
	cr_expect_eq(totals.environments, 1);
	cr_expect_eq(totals.layers, 2);
	cr_expect_eq(totals.leases, 2);
	cr_expect_eq(totals.layer_bytes, 300);
	cr_expect_eq(totals.leased_bytes, 100);
}
