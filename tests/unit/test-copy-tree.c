#include <criterion/criterion.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include "daemon/worker/copy-tree.h"
#include "tests/support/scratch.h"
#include "tests/support/trees.h"

static char *scratch, *from, *to;
static int from_fd, to_fd;

static void set_up(void)
{
	_cleanup_free_ char *link = NULL, *sub = NULL, *file = NULL;
	const struct timespec times[2] = { { 1700000001, 0 }, { 1700000001, 0 } };

	umask(0);
	scratch = scratch_make();
	cr_assert_eq(chmod(scratch, 0755), 0);
	from = text_format("%s/from", scratch);
	to = text_format("%s/to", scratch);
	link = text_format("%s/sub/link", from);
	file = text_format("%s/sub/run", from);
	sub = text_format("%s/sub", from);
	trees_write(from, "sub/run", "#!/bin/sh\n", 10, 0555);
	trees_write(from, "data", "data", 4, 0444);
	cr_assert_eq(symlink("/nowhere", link), 0);
	cr_assert_eq(utimensat(AT_FDCWD, file, times, 0), 0);
	cr_assert_eq(utimensat(AT_FDCWD, link, times, AT_SYMLINK_NOFOLLOW), 0);
	cr_assert_eq(utimensat(AT_FDCWD, sub, times, 0), 0);
	cr_assert_eq(chmod(sub, 0555), 0);
	cr_assert_eq(mkdir(to, 0700), 0);
	from_fd = open(from, O_RDONLY | O_DIRECTORY);
	to_fd = open(to, O_RDONLY | O_DIRECTORY);
}

static void tear_down(void)
{
	close(from_fd);
	close(to_fd);
	free(from);
	free(to);
	scratch_remove(scratch);
}

TestSuite(copy_tree, .init = set_up, .fini = tear_down);

Test(copy_tree, a_copy_is_the_same_but_writable)
{
	const struct identity self = { .uid = geteuid(), .gid = getegid() };
	_cleanup_free_ char *is = NULL;
	struct error err = { 0 };

	cr_assert_eq(copy_tree(from_fd, to_fd, &self, &err), 0, "%s", err.text);
	is = trees_describe(to);
	cr_expect(strstr(is, "sub\td\t755\t1700000001\n"), "%s", is);
	cr_expect(strstr(is, "sub/link\tl\t/nowhere\t1700000001\n"), "%s", is);
	cr_expect(strstr(is, "sub/run\tf\t755\t1700000001\t10\t"), "%s", is);
	cr_expect(strstr(is, "data\tf\t644\t"), "%s", is);
}

Test(copy_tree, a_copy_belongs_to_who_asked_for_it)
{
	const struct identity other = { .uid = 4711, .gid = 4712 };
	_cleanup_free_ char *file = text_format("%s/sub/run", to);
	struct error err = { 0 };
	struct stat st;

	if (geteuid() != 0)
		cr_skip("only root can act as others");
	cr_assert_eq(chown(to, other.uid, other.gid), 0);
	cr_assert_eq(copy_tree(from_fd, to_fd, &other, &err), 0, "%s", err.text);
	cr_assert_eq(stat(file, &st), 0);
	cr_expect_eq(st.st_uid, 4711);
	cr_expect_eq(st.st_gid, 4712);
}

Test(copy_tree, what_is_there_already_is_not_written_over)
{
	const struct identity self = { .uid = geteuid(), .gid = getegid() };
	struct error err = { 0 };

	trees_write(to, "data", "mine", 4, 0644);
	cr_expect_lt(copy_tree(from_fd, to_fd, &self, &err), 0);
	cr_expect_str_eq(err.reason, "INTERNAL_ERROR");
}
