#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>
#include "daemon/worker/adopt.h"
#include "tests/support/scratch.h"
#include "tests/support/trees.h"

static char *scratch;
static struct place *place;
static struct place_limits limits;
static struct error err;
static int tree_fd;

static void set_up(void)
{
	umask(0);
	scratch = scratch_make();
	tree_fd = open(scratch, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	limits = (struct place_limits){ .max_depth = 10, .max_name = 200 };
}

static void tear_down(void)
{
	place_free(place);
	close(tree_fd);
	scratch_remove(scratch);
}

TestSuite(adopt, .init = set_up, .fini = tear_down);

static int adopt(void)
{
	struct adopt adopt = { .tree_fd = tree_fd, .threads = 3 };

	place = place_new(tree_fd, "/r.txt", &limits);
	adopt.place = place;
	return adopt_tree(&adopt, &err);
}

static struct stat look(const char *name)
{
	struct stat st;

	cr_assert_eq(fstatat(tree_fd, name, &st, AT_SYMLINK_NOFOLLOW), 0, "%s", name);
	return st;
}

Test(adopt, files_and_directories_get_the_modes_of_a_layer)
{
	trees_write(scratch, "a/run", "#!/bin/sh\n", 10, 04711);
	trees_write(scratch, "a/closed/text", "x", 1, 0000);
	cr_assert_eq(fchmodat(tree_fd, "a/closed", 0000, 0), 0);
	cr_assert_eq(symlinkat("/etc/passwd", tree_fd, "link"), 0);
	cr_assert_eq(adopt(), 0, "%s", err.text);
	cr_assert_eq(place_finish_directories(place, &err), 0);
	cr_expect_eq(look("a/run").st_mode & 07777, 0555);
	cr_expect_eq(look("a/closed/text").st_mode & 07777, 0444);
	cr_expect_eq(look("a/closed").st_mode & 07777, 0555);
	cr_expect_eq(place_get_entries(place), 5);
	cr_expect_eq(place_get_bytes(place), 11);
	cr_expect_eq(place_type_of(place, "link"), PLACE_SYMLINK);
}

Test(adopt, a_file_that_somebody_can_still_write_to_is_replaced)
{
	struct stat before, after;
	int fd;

	trees_write(scratch, "open", "content", 7, 0644);
	trees_write(scratch, "closed", "content", 7, 0644);
	fd = openat(tree_fd, "open", O_WRONLY | O_CLOEXEC);
	cr_assert_geq(fd, 0);
	before = look("closed");
	cr_assert_eq(adopt(), 0, "%s", err.text);
	cr_expect_eq(look("closed").st_ino, before.st_ino);
	cr_assert_eq(fstat(fd, &after), 0);
	cr_expect_neq(look("open").st_ino, after.st_ino);
	cr_expect_eq(look("open").st_mode & 07777, 0444);
	cr_expect_eq(look("open").st_size, 7);
	close(fd);
}

Test(adopt, files_with_several_names_become_several_files)
{
	struct place_view one, two;

	trees_write(scratch, "one", "content", 7, 0644);
	cr_assert_eq(linkat(tree_fd, "one", tree_fd, "two", 0), 0);
	cr_assert_eq(adopt(), 0, "%s", err.text);
	cr_expect_neq(look("one").st_ino, look("two").st_ino);
	cr_expect_eq(look("one").st_nlink, 1);
	cr_expect_eq(look("two").st_nlink, 1);
	one = place_get(place, 0);
	two = place_get(place, 1);
	cr_expect_eq(memcmp(one.sha256, two.sha256, SHA256_SIZE), 0);
}

static void expect_refused(const char *reason, const char *word)
{
	cr_expect_lt(adopt(), 0);
	cr_expect_str_eq(err.reason, reason);
	cr_expect(strstr(err.text, word), "%s", err.text);
}

Test(adopt, a_fifo_is_refused_by_name)
{
	trees_write(scratch, "a/text", "x", 1, 0644);
	cr_assert_eq(mkfifoat(tree_fd, "a/pipe", 0644), 0);
	expect_refused("ENTRY_FORBIDDEN", "'a/pipe'");
}

Test(adopt, what_somebody_else_owns_is_refused)
{
	trees_write(scratch, "theirs", "x", 1, 0644);
	if (geteuid() != 0)
		return;
	cr_assert_eq(fchownat(tree_fd, "theirs", 12345, 12345, 0), 0);
	expect_refused("ENTRY_FORBIDDEN", "'theirs'");
}

Test(adopt, more_bytes_than_a_layer_may_have)
{
	trees_write(scratch, "text", "content", 7, 0644);
	limits.max_bytes = 6;
	expect_refused("LIMIT_EXCEEDED", "6 bytes");
}

Test(adopt, more_entries_than_a_layer_may_have)
{
	trees_write(scratch, "a/b/text", "x", 1, 0644);
	limits.max_entries = 2;
	expect_refused("LIMIT_EXCEEDED", "2 entries");
}

Test(adopt, a_name_that_is_too_deep)
{
	trees_write(scratch, "a/b/c/text", "x", 1, 0644);
	limits.max_depth = 3;
	expect_refused("LIMIT_EXCEEDED", "a/b/c/text");
}
