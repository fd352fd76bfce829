/* Files in a lease's directory, whose owner may have done anything to it. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "daemon/store/tree.h"
#include "tests/support/scratch.h"

#define OTHER 1234

static char *directory, *state, *lease;
static struct tree *tree;
static struct error err;
static struct identity owner;

static void set_up(void)
{
	directory = scratch_make();
	chmod(directory, 0711);
	state = text_format("%s/state", directory);
	owner = (struct identity){ .uid = geteuid(), .gid = getegid() };
	if (identity_may_change())
		owner = (struct identity){ .uid = OTHER, .gid = OTHER };
	cr_assert_eq(tree_open(state, &tree, &err), 0, "%s", err.text);
	lease = tree_lease_path(tree, "lease");
	cr_assert_eq(tree_make_lease(tree, "lease", &owner, NULL, 0, &err), 0, "%s", err.text);
}

static void tear_down(void)
{
	umount2(lease, MNT_DETACH); /* in one test it is a mount */
	tree = tree_close(tree);
	free(lease);
	free(state);
	scratch_remove(directory);
}

TestSuite(files, .init = set_up, .fini = tear_down);

static int write_file(const char *name, const char *text)
{
	return tree_write_lease_file(tree, "lease", &owner, name, text, strlen(text), &err);
}

static void expect_content(const char *name, const char *text)
{
	_cleanup_free_ char *path = text_format("%s/%s", lease, name);
	_cleanup_buffer_ struct buffer content = { 0 };

	cr_assert_eq(fs_read_file(AT_FDCWD, path, 1024, &content), 0);
	cr_expect_eq(content.size, strlen(text));
	cr_expect_arr_eq(content.data, text, strlen(text));
}

Test(files, a_file_is_its_owners_to_read)
{
	_cleanup_free_ char *path = text_format("%s/token", lease);
	struct stat st;

	cr_assert_eq(write_file("token", "words"), 0, "%s", err.text);
	expect_content("token", "words");
	cr_assert_eq(lstat(path, &st), 0);
	cr_expect_eq(st.st_mode, S_IFREG | 0400);
	cr_expect_eq(st.st_uid, owner.uid);
	cr_expect_eq(st.st_gid, owner.gid);
	cr_expect_eq(st.st_nlink, 1);
}

Test(files, what_is_there_is_not_written_over)
{
	_cleanup_free_ char *link = text_format("%s/link", lease);
	_cleanup_free_ char *target = text_format("%s/target", directory);

	cr_assert_eq(write_file("token", "words"), 0, "%s", err.text);
	cr_expect_eq(write_file("token", "other"), -EEXIST);
	expect_content("token", "words");
	cr_assert_eq(symlink(target, link), 0);
	cr_expect_eq(write_file("link", "words"), -EEXIST);
	cr_expect_eq(access(target, F_OK), -1);
}

Test(files, an_owner_who_locks_the_directory_gets_none)
{
	if (!identity_may_change() && geteuid() == 0)
		return;
	cr_assert_eq(chmod(lease, 0), 0);
	cr_expect_eq(write_file("token", "words"), -EACCES);
	cr_assert_eq(chmod(lease, 0700), 0);
	cr_expect_eq(write_file("token", "words"), 0);
}

Test(files, a_lease_that_is_not_there_has_none)
{
	cr_expect_eq(tree_write_lease_file(tree, "none", &owner, "token", "x", 1, &err), -ENOENT);
}

Test(files, what_is_mounted_on_the_directory_is_not_asked)
{
	if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
		mount("none", lease, "tmpfs", 0, "mode=777")) {
		tear_down();
		cr_skip_test("mounting is not allowed here");
	}
	/* What it has open is of the name space of before, where nothing is mounted. */
	tree = tree_close(tree);
	cr_assert_eq(tree_open(state, &tree, &err), 0, "%s", err.text);
	cr_expect_eq(write_file("token", "words"), -EXDEV);
	cr_assert_eq(umount2(lease, MNT_DETACH), 0);
	cr_expect_eq(write_file("token", "words"), 0);
}
