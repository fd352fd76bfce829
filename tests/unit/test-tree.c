#include <criterion/criterion.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fs.h"
#include "daemon/store/tree.h"
#include "tests/support/scratch.h"

#define OTHER 1234

static char *directory, *state;
static struct tree *tree;
static struct error err;
static struct identity me;

static void set_up(void)
{
	directory = scratch_make();
	chmod(directory, 0711);
	state = text_format("%s/state", directory);
	me = (struct identity){ .uid = geteuid(), .gid = getegid() };
	cr_assert_eq(tree_open(state, &tree, &err), 0, "%s", err.text);
}

static void tear_down(void)
{
	tree = tree_close(tree);
	umount2(state, MNT_DETACH); /* in some tests it is a mount */
	free(state);
	scratch_remove(directory);
}

/* Skipping ends the process without the tear-down. */
static void skip(const char *why)
{
	tear_down();
	cr_skip_test("%s", why);
}

TestSuite(tree, .init = set_up, .fini = tear_down);

static struct stat look(const char *path)
{
	_cleanup_free_ char *whole = text_format("%s/%s", state, path);
	struct stat st = { 0 };

	cr_assert_eq(lstat(whole, &st), 0, "%s: %s", whole, strerror(errno));
	return st;
}

static bool is_there(const char *path)
{
	_cleanup_free_ char *whole = text_format("%s/%s", state, path);
	struct stat st;

	return lstat(whole, &st) == 0;
}

static const char *link_of(const char *path)
{
	_cleanup_free_ char *whole = text_format("%s/%s", state, path);
	static char target[PATH_MAX];
	ssize_t n = readlink(whole, target, sizeof(target) - 1);

	cr_assert_geq(n, 0, "%s: %s", whole, strerror(errno));
	target[n] = 0;
	return target;
}

static void expect_mode(const char *path, mode_t mode)
{
	cr_expect_eq(look(path).st_mode & 07777, mode, "%s has mode %o", path, look(path).st_mode);
}

/* Opens another state directory in vain. */
static int open_other(const char *path)
{
	struct tree *other = NULL;
	int r = tree_open(path, &other, &err);

	cr_expect_null(other);
	tree_close(other);
	return r;
}

static size_t count_entries(const char *path)
{
	_cleanup_free_ char *whole = text_format("%s/%s", state, path);
	DIR *d = opendir(whole);
	size_t n = 0;

	cr_assert(d);
	while (readdir(d))
		n++;
	closedir(d);
	return n - 2;
}

/* ---- open */

Test(tree, what_is_missing_is_made)
{
	expect_mode("", 0711);
	expect_mode("layers", 0711);
	expect_mode("leases", 0711);
	expect_mode("artifacts", 0711);
	expect_mode("logs", 0711);
	expect_mode("lock", 0600);
	expect_mode("reserve", 0600);
	cr_expect_eq(count_entries(""), 6, "and nothing else");
	cr_expect_str_eq(tree_path(tree), state);
}

Test(tree, the_umask_has_no_say)
{
	_cleanup_free_ char *path = text_format("%s/deep/er", directory);
	_cleanup_free_ char *layers = text_format("%s/layers", path);
	_cleanup_(tree_closep) struct tree *other = NULL;
	struct stat st;

	umask(077);
	cr_assert_eq(tree_open(path, &other, &err), 0, "%s", err.text);
	cr_assert_eq(stat(path, &st), 0);
	cr_expect_eq(st.st_mode & 07777, 0711);
	cr_assert_eq(stat(layers, &st), 0);
	cr_expect_eq(st.st_mode & 07777, 0711);
}

Test(tree, a_relative_path_or_a_link_becomes_absolute)
{
	_cleanup_free_ char *link = text_format("%s/link", directory);
	_cleanup_free_ char *path = NULL;

	tree = tree_close(tree);
	cr_assert_eq(chdir(directory), 0);
	cr_assert_eq(symlink("state", link), 0);
	cr_assert_eq(tree_open("link", &tree, &err), 0, "%s", err.text);
	cr_expect_str_eq(tree_path(tree), state);
	path = tree_lease_path(tree, "abc");
	cr_expect(text_starts_with(path, state));
	cr_expect(text_ends_with(path, "/leases/abc"));
}

Test(tree, a_second_daemon_is_told_who_is_there)
{
	_cleanup_free_ char *pid = text_format("process %d", (int)getpid());

	cr_expect_eq(open_other(state), TREE_E_LOCKED);
	cr_expect(strstr(err.text, state), "%s", err.text);
	cr_expect(strstr(err.text, pid), "%s", err.text);
}

Test(tree, a_lock_file_with_nonsense_still_locks)
{
	_cleanup_free_ char *path = text_format("%s/lock", state);

	cr_assert_eq(truncate(path, 0), 0);
	cr_expect_eq(open_other(state), TREE_E_LOCKED);
	cr_expect(strstr(err.text, state), "%s", err.text);
}

Test(tree, closing_frees_the_lock)
{
	tree = tree_close(tree);
	cr_expect_eq(tree_open(state, &tree, &err), 0, "%s", err.text);
}

Test(tree, a_dead_daemon_holds_nothing)
{
	int status;
	pid_t child;

	tree = tree_close(tree);
	child = fork();
	if (child == 0)
		_exit(tree_open(state, &tree, NULL) ? 1 : 7);
	cr_assert_eq(waitpid(child, &status, 0), child);
	cr_assert_eq(WEXITSTATUS(status), 7);
	cr_expect_eq(tree_open(state, &tree, &err), 0, "%s", err.text);
}

Test(tree, a_file_is_no_state_directory)
{
	_cleanup_free_ char *path = text_format("%s/lock", state);

	cr_expect_eq(open_other(path), -ENOTDIR);
	cr_expect(strstr(err.text, path), "%s", err.text);
}

Test(tree, a_directory_that_others_may_write_is_refused)
{
	tree = tree_close(tree);
	cr_assert_eq(chmod(state, 0775), 0);
	cr_expect_eq(open_other(state), -EPERM);
	cr_expect(strstr(err.text, "written by others"), "%s", err.text);
}

Test(tree, a_directory_of_somebody_else_is_refused)
{
	if (geteuid() != 0)
		skip("only root can give a directory away");
	tree = tree_close(tree);
	cr_assert_eq(chown(state, OTHER, OTHER), 0);
	cr_expect_eq(open_other(state), -EPERM);
	cr_expect(strstr(err.text, "belongs to uid 1234"), "%s", err.text);
}

Test(tree, a_directory_that_tasks_cannot_pass_is_opened_to_them)
{
	tree = tree_close(tree);
	cr_assert_eq(chmod(state, 0700), 0);
	cr_assert_eq(tree_open(state, &tree, &err), 0, "%s", err.text);
	expect_mode("", 0711);
}

/* In a mount namespace of our own, or not at all. */
static void mount_or_skip(const char *type, unsigned long flags)
{
	tree = tree_close(tree);
	if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
		mount("none", state, type, flags, "mode=711"))
		skip("cannot mount here");
}

Test(tree, a_file_system_that_runs_nothing_is_refused)
{
	mount_or_skip("tmpfs", MS_NOEXEC);
	cr_expect_eq(open_other(state), -EOPNOTSUPP);
	cr_expect(strstr(err.text, "noexec"), "%s", err.text);
	cr_expect_not(is_there("probe"));
}

Test(tree, a_file_system_without_access_lists_is_refused)
{
	mount_or_skip("ramfs", 0);
	cr_expect_eq(open_other(state), -EOPNOTSUPP);
	cr_expect(strstr(err.text, "access lists"), "%s", err.text);
}

Test(tree, a_read_only_file_system_is_refused)
{
	mount_or_skip("tmpfs", MS_RDONLY);
	cr_expect_eq(open_other(state), -EROFS);
}

Test(tree, a_full_file_system_is_no_reason_not_to_start)
{
	_cleanup_free_ char *path = text_format("%s/filler", state);
	int fd;

	tree = tree_close(tree);
	if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
		mount("none", state, "tmpfs", 0, "mode=711,size=64k"))
		skip("cannot mount here");
	cr_assert_eq(tree_open(state, &tree, &err), 0, "%s", err.text);
	tree = tree_close(tree);
	fd = open(path, O_WRONLY | O_CREAT, 0600);
	while (write(fd, path, 1) == 1)
		;
	cr_assert_eq(errno, ENOSPC);
	close(fd);
	cr_expect_eq(tree_open(state, &tree, &err), 0, "%s", err.text);
}

Test(tree, what_is_kept_aside_can_be_spent_and_kept_again)
{
	cr_expect_gt(look("reserve").st_blocks, 0);
	cr_expect(tree_spend_reserve(tree));
	cr_expect_not(tree_spend_reserve(tree));
	tree_keep_reserve(tree);
	cr_expect(tree_spend_reserve(tree));
}

/* ---- layers */

Test(tree, a_layer_is_made_once)
{
	int fd = -1, other = -1;

	cr_assert_eq(tree_make_layer(tree, "aaaaaaaa", &fd, &err), 0, "%s", err.text);
	expect_mode("layers/aaaaaaaa", 0700);
	cr_expect_eq(tree_make_layer(tree, "aaaaaaaa", &other, &err), TREE_E_EXISTS);
	cr_expect_eq(other, -1);
	cr_assert_eq(mkdirat(fd, "tree", 0755), 0);
	cr_expect_eq(tree_open_layer_tree(tree, "aaaaaaaa", &other, &err), 0);
	cr_expect_geq(other, 0);
	close(other);
	close(fd);
}

Test(tree, a_layers_tree_is_not_found_through_a_link)
{
	int fd = -1, other = -1;

	cr_assert_eq(tree_make_layer(tree, "aaaaaaaa", &fd, &err), 0);
	cr_assert_eq(symlinkat("/", fd, "tree"), 0);
	cr_expect_eq(tree_open_layer_tree(tree, "aaaaaaaa", &other, &err), -ELOOP);
	cr_expect_eq(tree_open_layer_tree(tree, "../layers", &other, &err), -EXDEV);
	close(fd);
}

Test(tree, a_manifest_is_a_file)
{
	int fd = -1;

	cr_assert_eq(tree_make_layer(tree, "aaaaaaaa", &fd, &err), 0);
	cr_expect_not(tree_has_manifest(tree, "aaaaaaaa"));
	cr_assert_eq(symlinkat("/etc/passwd", fd, "manifest"), 0);
	cr_expect_not(tree_has_manifest(tree, "aaaaaaaa"));
	cr_assert_eq(unlinkat(fd, "manifest", 0), 0);
	close(openat(fd, "manifest", O_WRONLY | O_CREAT, 0444));
	cr_expect(tree_has_manifest(tree, "aaaaaaaa"));
	close(fd);
}

/* ---- leases */

static const struct tree_link links[] = {
	{ "venv", "aaaaaaaa" },
	{ "models/a", "bbbbbbbb" },
	{ "models/b/deep", NULL },
};

Test(tree, a_lease_has_its_links_and_empty_directories)
{
	_cleanup_free_ char *target = text_format("%s/layers/bbbbbbbb/tree", state);

	cr_assert_eq(tree_make_lease(tree, "lease", &me, links, 3, &err), 0, "%s", err.text);
	expect_mode("leases/lease", 0700);
	expect_mode("leases/lease/work", 0700);
	expect_mode("leases/lease/work/models", 0700);
	expect_mode("leases/lease/work/models/b/deep", 0700);
	cr_expect_str_eq(link_of("leases/lease/work/models/a"), target);
	cr_expect(text_ends_with(link_of("leases/lease/work/venv"), "/layers/aaaaaaaa/tree"));
	cr_expect_eq(count_entries("leases/lease/work"), 2);
	cr_expect_eq(tree_make_lease(tree, "lease", &me, links, 3, &err), TREE_E_EXISTS);
	cr_expect(is_there("leases/lease/work/venv"));
}

Test(tree, a_lease_without_links_is_empty)
{
	cr_assert_eq(tree_make_lease(tree, "lease", &me, NULL, 0, &err), 0, "%s", err.text);
	cr_expect_eq(count_entries("leases/lease/work"), 0);
	cr_expect_eq(tree_remove_empty_lease(tree, "lease"), -ENOTEMPTY);
}

Test(tree, a_lease_belongs_to_its_owner)
{
	struct identity owner = { .uid = OTHER, .gid = OTHER };
	static const char *const paths[] = { "leases/lease", "leases/lease/work",
		"leases/lease/work/venv", "leases/lease/work/models",
		"leases/lease/work/models/b/deep" };
	size_t i;

	if (!identity_may_change())
		skip("this process cannot act as others");
	cr_assert_eq(tree_make_lease(tree, "lease", &owner, links, 3, &err), 0, "%s", err.text);
	for (i = 0; i < ARRAY_SIZE(paths); i++) {
		cr_expect_eq(look(paths[i]).st_uid, OTHER, "%s", paths[i]);
		cr_expect_eq(look(paths[i]).st_gid, OTHER, "%s", paths[i]);
	}
	cr_expect_eq(look("leases").st_uid, geteuid());
}

Test(tree, names_that_climb_are_refused_and_nothing_is_left)
{
	static const char *const names[] = { "", "/", "/etc", "..", "a/../b", "a//b", ".", "a/.",
		"a/" };
	size_t i;

	for (i = 0; i < ARRAY_SIZE(names); i++) {
		const struct tree_link bad[] = { { "models/a", "aaaaaaaa" }, { names[i], NULL } };

		cr_expect_eq(tree_make_lease(tree, "lease", &me, bad, 2, &err), -EINVAL, "'%s'",
			names[i]);
		cr_expect_str_eq(err.reason, "TARGET_INVALID");
		cr_expect_eq(count_entries("leases"), 0, "'%s'", names[i]);
	}
}

Test(tree, targets_that_meet_are_refused_and_nothing_is_left)
{
	static const struct tree_link twice[] = { { "a/b", "aaaaaaaa" }, { "a/b", "bbbbbbbb" } };
	static const struct tree_link nested[] = { { "venv", "aaaaaaaa" }, { "venv/x", NULL } };
	static const struct tree_link around[] = { { "a/b", "aaaaaaaa" }, { "a", NULL } };

	cr_expect_eq(tree_make_lease(tree, "lease", &me, twice, 2, &err), -EEXIST);
	cr_expect_str_eq(err.reason, "TARGET_CONFLICT");
	cr_expect_eq(count_entries("leases"), 0);
	cr_expect_lt(tree_make_lease(tree, "lease", &me, nested, 2, &err), 0);
	cr_expect_eq(count_entries("leases"), 0);
	cr_expect_eq(tree_make_lease(tree, "lease", &me, around, 2, &err), -EEXIST);
	cr_expect_eq(count_entries("leases"), 0);
}

Test(tree, nothing_is_made_inside_a_layer_through_a_link)
{
	static const struct tree_link nested[] = { { "venv", "aaaaaaaa" }, { "venv/x/y", NULL } };
	int fd = -1;

	cr_assert_eq(tree_make_layer(tree, "aaaaaaaa", &fd, &err), 0);
	cr_assert_eq(mkdirat(fd, "tree", 0755), 0);
	close(fd);
	cr_expect_lt(tree_make_lease(tree, "lease", &me, nested, 2, &err), 0);
	cr_expect_eq(count_entries("layers/aaaaaaaa/tree"), 0);
	cr_expect_eq(count_entries("leases"), 0);
}

Test(tree, an_owner_that_cannot_be_acted_as_leaves_nothing)
{
	struct identity owner = { .uid = OTHER, .gid = OTHER };
	int status;
	pid_t child = fork();

	if (child == 0) {
		/* The directory must be ours for this to fail late. */
		if (geteuid() == 0 &&
			(chown(directory, 1, 1) || chown(state, 1, 1) ||
				fchown(tree_leases_fd(tree), 1, 1) || setresgid(1, 1, 1) ||
				setresuid(1, 1, 1)))
			_exit(1);
		_exit(tree_make_lease(tree, "lease", &owner, links, 3, &err) == -EPERM ? 7 : 2);
	}
	cr_assert_eq(waitpid(child, &status, 0), child);
	cr_expect_eq(WEXITSTATUS(status), 7);
	cr_expect_eq(count_entries("leases"), 0);
}

Test(tree, a_leases_directory_is_opened_as_its_owner)
{
	struct identity owner = { .uid = OTHER, .gid = OTHER };
	struct stat st;
	int fd = -1;

	if (!identity_may_change())
		owner = me;
	cr_assert_eq(tree_make_lease(tree, "lease", &owner, links, 3, &err), 0, "%s", err.text);
	cr_assert_eq(tree_open_lease_directory(tree, "lease", "models/b/deep", &fd, &err), 0, "%s",
		err.text);
	cr_assert_eq(fstat(fd, &st), 0);
	cr_expect_eq(st.st_ino, look("leases/lease/work/models/b/deep").st_ino);
	close(fd);
	fd = -1;
	cr_expect_eq(tree_open_lease_directory(tree, "lease", "venv", &fd, &err), -ELOOP);
	cr_expect_eq(tree_open_lease_directory(tree, "lease", "models/b/none", &fd, &err), -ENOENT);
	cr_expect_eq(fd, -1);
}

Test(tree, a_lease_is_removed_when_it_is_empty)
{
	cr_assert_eq(tree_make_lease(tree, "lease", &me, NULL, 0, &err), 0);
	cr_expect_eq(tree_remove_empty_lease(tree, "lease"), -ENOTEMPTY);
	cr_assert_eq(unlinkat(tree_leases_fd(tree), "lease/work", AT_REMOVEDIR), 0);
	cr_expect_eq(tree_remove_empty_lease(tree, "lease"), 0);
	cr_expect_eq(tree_remove_empty_lease(tree, "lease"), 0, "gone is gone");
	cr_expect_not(is_there("leases/lease"));
}

/* ---- lists */

Test(tree, everything_is_listed_whatever_its_name)
{
	_cleanup_(tree_names_deinit) struct tree_names names = { 0 };
	size_t i, seen = 0;

	cr_assert_eq(tree_list_layers(tree, &names, &err), 0);
	cr_expect_eq(names.count, 0);
	cr_assert_eq(mkdirat(tree_layers_fd(tree), "aaaaaaaa", 0700), 0);
	cr_assert_eq(symlinkat("nowhere", tree_layers_fd(tree), "odd name\n"), 0);
	cr_assert_eq(tree_list_layers(tree, &names, &err), 0);
	cr_assert_eq(names.count, 2);
	for (i = 0; i < names.count; i++) {
		seen += text_equal(names.names[i], "aaaaaaaa");
		seen += text_equal(names.names[i], "odd name\n");
		cr_expect_eq(names.uids[i], geteuid());
	}
	cr_expect_eq(seen, 2);
}

Test(tree, leases_are_listed_with_their_owners)
{
	_cleanup_(tree_names_deinit) struct tree_names names = { 0 };
	struct identity owner = { .uid = OTHER, .gid = OTHER };

	if (!identity_may_change())
		owner = me;
	cr_assert_eq(tree_make_lease(tree, "lease", &owner, links, 3, &err), 0);
	cr_assert_eq(tree_list_leases(tree, &names, &err), 0);
	cr_assert_eq(names.count, 1);
	cr_expect_str_eq(names.names[0], "lease");
	cr_expect_eq(names.uids[0], owner.uid);
	cr_expect_eq(names.gids[0], owner.gid);
}

Test(tree, free_bytes_are_those_of_the_file_system)
{
	uint64_t bytes = 0;

	cr_assert_eq(tree_free_bytes(tree, &bytes, &err), 0);
	cr_expect_gt(bytes, 0);
}
