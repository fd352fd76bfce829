/* Artifacts in the store: their rows and their files. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/store/db.h"
#include "daemon/store/tree.h"
#include "tests/support/scratch.h"

static char *directory, *state;
static struct tree *tree;
static struct db *db;
static struct error err;

static void set_up(void)
{
	_cleanup_free_ char *path = NULL;

	directory = scratch_make();
	state = text_format("%s/state", directory);
	path = text_format("%s/index.db", directory);
	cr_assert_eq(tree_open(state, &tree, &err), 0, "%s", err.text);
	cr_assert_eq(db_open(path, NULL, NULL, &db, &err), 0, "%s", err.text);
}

static void tear_down(void)
{
	db = db_close(db);
	tree = tree_close(tree);
	free(state);
	scratch_remove(directory);
}

TestSuite(artifacts, .init = set_up, .fini = tear_down);

static void add(const char *digits, uint32_t uid, uint64_t bytes, int64_t now)
{
	struct db_artifact artifact = { .uid = uid, .bytes = bytes, .created = now };

	memcpy(artifact.digest, scratch_hash(digits), sizeof(artifact.digest));
	cr_assert_eq(db_add_artifact(db, &artifact, &err), 0, "%s", err.text);
}

/* ---- rows */

Test(artifacts, a_digest_is_of_whom_presented_it)
{
	struct db_artifact found;

	add("aaaa1", 1000, 7, 10);
	cr_assert_eq(db_find_artifact(db, scratch_hash("aaaa1"), 1000, &found, &err), 0);
	cr_expect_str_eq(found.digest, scratch_hash("aaaa1"));
	cr_expect_eq(found.bytes, 7);
	cr_expect_eq(found.created, 10);
	cr_expect_eq(found.used, 10);
	cr_expect_not(found.durable);
	cr_expect_eq(
		db_find_artifact(db, scratch_hash("aaaa1"), 1001, &found, &err), DB_E_NOT_FOUND);
	cr_expect_eq(db_use_artifact(db, scratch_hash("aaaa1"), 1001, 20, &err), DB_E_NOT_FOUND);
	cr_expect_eq(db_delete_artifact(db, scratch_hash("aaaa1"), 1001, &err), DB_E_NOT_FOUND);
}

Test(artifacts, the_same_again_is_told_so)
{
	struct db_artifact again = { .uid = 1000 };

	add("aaaa1", 1000, 7, 10);
	add("aaaa1", 1001, 7, 10);
	memcpy(again.digest, scratch_hash("aaaa1"), sizeof(again.digest));
	cr_expect_eq(db_add_artifact(db, &again, &err), DB_E_EXISTS);
}

Test(artifacts, they_are_listed_by_their_last_use)
{
	struct db_artifacts list;

	add("aaaa1", 1000, 7, 10);
	add("bbbb1", 1000, 7, 11);
	add("cccc1", 1000, 7, 12);
	cr_assert_eq(db_use_artifact(db, scratch_hash("aaaa1"), 1000, 20, &err), 0);
	cr_assert_eq(db_list_idle_artifacts(db, &list, &err), 0);
	cr_assert_eq(list.count, 3);
	cr_expect_str_eq(list.rows[0].digest, scratch_hash("bbbb1"));
	cr_expect_str_eq(list.rows[2].digest, scratch_hash("aaaa1"));
	cr_expect_eq(list.rows[2].used, 20);
	free(list.rows);
}

Test(artifacts, pages_follow_each_other)
{
	_cleanup_free_ char *after = NULL;
	struct db_artifacts list;

	add("aaaa1", 1000, 7, 10);
	add("aaaa1", 1001, 7, 10);
	add("bbbb1", 1000, 7, 10);
	cr_assert_eq(db_list_artifacts(db, "", 1, -1, &list, &err), 0);
	cr_assert_eq(list.count, 1);
	cr_expect_eq(list.rows[0].uid, 1000);
	after = text_format("%s/%u", list.rows[0].digest, list.rows[0].uid);
	free(list.rows);
	cr_assert_eq(db_list_artifacts(db, after, 10, -1, &list, &err), 0);
	cr_assert_eq(list.count, 2);
	cr_expect_eq(list.rows[0].uid, 1001);
	free(list.rows);
	cr_assert_eq(db_list_artifacts(db, "", 10, 1001, &list, &err), 0);
	cr_expect_eq(list.count, 1);
	free(list.rows);
	cr_expect_eq(db_list_artifacts(db, "abc/x", 10, -1, &list, &err), -EINVAL);
	cr_expect_str_eq(err.reason, "REQUEST_INVALID");
}

Test(artifacts, those_of_before_become_durable)
{
	struct db_artifact found;

	add("aaaa1", 1000, 7, 10);
	add("bbbb1", 1000, 7, 20);
	cr_assert_eq(db_mark_artifacts_durable(db, 20, &err), 0);
	cr_assert_eq(db_find_artifact(db, scratch_hash("aaaa1"), 1000, &found, &err), 0);
	cr_expect(found.durable);
	cr_assert_eq(db_find_artifact(db, scratch_hash("bbbb1"), 1000, &found, &err), 0);
	cr_expect_not(found.durable);
}

Test(artifacts, they_count)
{
	struct db_totals totals;

	add("aaaa1", 1000, 7, 10);
	add("aaaa1", 1001, 7, 10);
	cr_assert_eq(db_get_totals(db, &totals, &err), 0);
	cr_expect_eq(totals.artifacts, 2);
	cr_expect_eq(totals.artifact_bytes, 14);
	cr_expect_eq(totals.layer_bytes, 0);
}

/* ---- leases */

static void lease(const char *id, const char *name, const char *digits)
{
	cr_assert_eq(scratch_use_environment(db, scratch_hash("e1"), NULL, 0, 5, &err), 0);
	cr_assert_eq(scratch_add_lease(db, id, scratch_hash("e1"), "", NULL, 0, &err), 0);
	cr_assert_eq(
		db_add_lease_artifact(db, id, name, scratch_hash(digits), &err), 0, "%s", err.text);
}

static size_t count_idle(void)
{
	struct db_artifacts list;

	cr_assert_eq(db_list_idle_artifacts(db, &list, &err), 0);
	free(list.rows);
	return list.count;
}

Test(artifacts, a_lease_keeps_its_own_until_it_ends)
{
	_cleanup_(db_lease_artifacts_deinit) struct db_lease_artifacts kept = { 0 };
	struct db_artifact found;
	struct db_totals totals;

	add("aaaa1", 1000, 7, 10);
	add("aaaa1", 1001, 7, 10);
	lease("lease-1", "b", "aaaa1");
	lease("lease-2", "b", "aaaa1");
	cr_assert_eq(db_add_lease_artifact(db, "lease-1", "a/\"", scratch_hash("aaaa1"), &err), 0);
	cr_expect_eq(count_idle(), 1, "only that of the other user");
	cr_assert_eq(db_get_totals(db, &totals, &err), 0);
	cr_expect_eq(totals.leased_bytes, 7);
	cr_assert_eq(db_list_lease_artifacts(db, "lease-1", &kept, &err), 0);
	cr_assert_eq(kept.count, 2);
	cr_expect_str_eq(kept.rows[0].name, "a/\"");
	cr_expect_str_eq(kept.rows[1].name, "b");
	cr_expect_str_eq(kept.rows[1].digest, scratch_hash("aaaa1"));

	cr_assert_eq(db_delete_lease(db, "lease-1", 20, &err), 0);
	cr_expect_eq(count_idle(), 1);
	cr_assert_eq(db_delete_lease(db, "lease-2", 30, &err), 0);
	cr_expect_eq(count_idle(), 2);
	cr_assert_eq(db_find_artifact(db, scratch_hash("aaaa1"), 1000, &found, &err), 0);
	cr_expect_eq(found.used, 30);
}

Test(artifacts, a_lease_keeps_only_what_its_user_has)
{
	add("aaaa1", 1001, 7, 10);
	add("bbbb1", 1000, 7, 10);
	lease("lease-1", "b", "bbbb1");
	cr_expect_eq(
		db_add_lease_artifact(db, "lease-1", "a", scratch_hash("aaaa1"), &err), -ENOENT);
}

/* ---- files */

static size_t count_files(void)
{
	_cleanup_(tree_names_deinit) struct tree_names names = { 0 };

	cr_assert_eq(tree_list_artifacts(tree, &names, &err), 0, "%s", err.text);
	return names.count;
}

static int make(const char *content)
{
	int fd;

	cr_assert_eq(tree_make_artifact(tree, &fd, &err), 0, "%s", err.text);
	cr_assert_eq(write(fd, content, strlen(content)), (ssize_t)strlen(content));
	return fd;
}

Test(artifacts, one_that_got_no_name_was_never_there)
{
	int fd = make("half");

	cr_expect_eq(count_files(), 0);
	close(fd);
	cr_expect_eq(count_files(), 0);
}

Test(artifacts, a_named_one_is_there_for_us_alone)
{
	_cleanup_close_ int fd = make("whole"), again = -1;
	struct fs_identity file;
	struct stat st;
	char text[8] = "";

	cr_assert_eq(tree_name_artifact(tree, fd, "name", &err), 0, "%s", err.text);
	cr_assert_eq(fstatat(tree_artifacts_fd(tree), "name", &st, 0), 0);
	cr_expect_eq(st.st_mode, S_IFREG | 0400);
	cr_assert_eq(tree_open_artifact(tree, "name", &again, &file, &err), 0, "%s", err.text);
	cr_expect_eq(file.size, 5);
	cr_expect_eq(read(again, text, sizeof(text)), 5);
	cr_expect_str_eq(text, "whole");
	cr_expect(tree_has_artifact(tree, "name", 5));
	cr_expect_not(tree_has_artifact(tree, "name", 4));
	cr_expect_not(tree_has_artifact(tree, "other", 5));
}

Test(artifacts, another_may_be_let_in_to_read)
{
	const struct identity other = { .uid = 1234, .gid = 1234 };
	_cleanup_close_ int fd = make("whole"), again = -1;
	_cleanup_free_ char *path = tree_artifact_path(tree, "name");
	struct stat st;

	cr_assert_eq(tree_name_artifact(tree, fd, "name", &err), 0, "%s", err.text);
	cr_assert_eq(tree_allow_artifact(tree, "name", geteuid(), &err), 0, "%s", err.text);
	cr_assert_eq(stat(path, &st), 0);
	cr_expect_eq(st.st_mode, S_IFREG | 0400, "nobody has to be let in");
	cr_expect_eq(tree_allow_artifact(tree, "absent", 1234, &err), -ENOENT);
	if (!identity_may_change())
		return;
	chmod(directory, 0711);
	cr_assert_eq(identity_assume(&other, &err), 0);
	cr_expect_lt(open(path, O_RDONLY), 0);
	identity_resume();
	cr_assert_eq(tree_allow_artifact(tree, "name", 1234, &err), 0, "%s", err.text);
	cr_assert_eq(identity_assume(&other, &err), 0);
	again = open(path, O_RDONLY);
	cr_expect_lt(open(path, O_WRONLY), 0);
	identity_resume();
	cr_expect_geq(again, 0);
}

Test(artifacts, a_name_is_given_once)
{
	_cleanup_close_ int one = make("1"), two = make("2");

	cr_assert_eq(tree_name_artifact(tree, one, "name", &err), 0);
	cr_expect_eq(tree_name_artifact(tree, two, "name", &err), TREE_E_EXISTS);
	cr_expect_eq(count_files(), 1);
}

Test(artifacts, a_condemned_one_makes_way_for_the_next)
{
	_cleanup_close_ int one = make("1"), two = make("22");
	char gone[ARTIFACT_GONE_SIZE];

	cr_assert_eq(tree_name_artifact(tree, one, "name", &err), 0);
	cr_assert_eq(tree_condemn_artifact(tree, "name", gone), 0);
	cr_expect_not(tree_has_artifact(tree, "name", 1));
	cr_expect(tree_has_artifact(tree, gone, 1));
	cr_assert_eq(tree_name_artifact(tree, two, "name", &err), 0);
	cr_expect(tree_has_artifact(tree, "name", 2));
	cr_expect_eq(tree_condemn_artifact(tree, "absent", gone), -ENOENT);
}
