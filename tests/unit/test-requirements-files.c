#include <criterion/criterion.h>
#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/util.h"
#include "client/requirements-files.h"
#include "tests/support/scratch.h"
#include "tests/support/trees.h"

static char *scratch;
static struct requirements_files files;
static struct error err;

static void set_up(void)
{
	scratch = scratch_make();
}

static void tear_down(void)
{
	requirements_files_deinit(&files);
	scratch_remove(scratch);
}

TestSuite(requirements_files, .init = set_up, .fini = tear_down);

static void write_text(const char *name, const char *text)
{
	trees_write(scratch, name, text, strlen(text), 0644);
}

static int find(const char *name, const char *packages)
{
	_cleanup_free_ char *path = text_format("%s/%s", scratch, name);
	_cleanup_free_ char *directory = text_format("%s/%s", scratch, packages ?: "");

	requirements_files_deinit(&files);
	return requirements_files_find(path, packages ? directory : NULL, &files, &err);
}

static void expect_file(const char *name, const char *path, bool is_package)
{
	_cleanup_free_ char *absolute = text_format("%s/%s", scratch, path);
	size_t i;

	for (i = 0; i < files.count; i++) {
		if (!text_equal(files.rows[i].name, name))
			continue;
		cr_expect_str_eq(files.rows[i].path, absolute);
		cr_expect_eq(files.rows[i].is_package, is_package);
		return;
	}
	cr_expect_fail("'%s' was not found", name);
}

static void expect_failure(const char *name, int r, const char *reason, const char *words)
{
	cr_expect_eq(find(name, NULL), r, "%s", err.text);
	cr_expect_str_eq(err.reason, reason, "%s", err.text);
	cr_expect(strstr(err.text, words), "%s", err.text);
}

Test(requirements_files, all_that_is_included_is_found_once)
{
	_cleanup_free_ char *text = text_format(
		"-r ./sub/base.txt # and\n-c limits.txt\na \\\n --hash=%s\n",
		"sha256:"
		"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa");

	write_text("x/mine.txt", text);
	write_text("x/sub/base.txt", "-c ../limits.txt\n--requirement=../../far.txt\n");
	write_text("x/limits.txt", "# -r commented.txt\n");
	write_text("far.txt", "-r x/limits.txt\n");
	cr_assert_eq(find("x/mine.txt", NULL), 0, "%s", err.text);
	cr_expect_str_eq(files.rows[0].name, "mine.txt");
	cr_expect_eq(files.count, 5);
	expect_file("sub/base.txt", "x/./sub/base.txt", false);
	expect_file("limits.txt", "x/limits.txt", false);
	expect_file("../far.txt", "x/./sub/../../far.txt", false);
	/* The same file by another way: it is known by what it is called there. */
	expect_file("../x/limits.txt", "x/./sub/../../x/limits.txt", false);
}

Test(requirements_files, packages_are_told_by_their_names)
{
	write_text("mine.txt", "a\n");
	write_text("wheels/a-1-py3-none-any.whl", "a");
	write_text("wheels/b-1.tar.gz", "b");
	write_text("wheels/README", "c");
	cr_assert_eq(find("mine.txt", "wheels"), 0, "%s", err.text);
	cr_expect_eq(files.count, 3);
	expect_file("a-1-py3-none-any.whl", "wheels/a-1-py3-none-any.whl", true);
	expect_file("b-1.tar.gz", "wheels/b-1.tar.gz", true);
	cr_expect_eq(find("mine.txt", "none"), -EIO);
	cr_expect(strstr(err.text, "/none' is not there"), "%s", err.text);
}

Test(requirements_files, two_files_of_one_name_are_refused)
{
	_cleanup_free_ char *link = text_format("%s/x/link", scratch);

	/* Beside what the link leads to there is another file than beside the link. */
	write_text("x/mine.txt", "-r base.txt\n-r link/../base.txt\n");
	write_text("x/base.txt", "a\n");
	write_text("other/base.txt", "b\n");
	write_text("other/sub/none", "");
	cr_assert_eq(symlink("../other/sub", link), 0);
	expect_failure("x/mine.txt", -EINVAL, "REQUIREMENTS_INVALID", "/mine.txt', line 2: '");
	cr_expect(strstr(err.text, "link/../base.txt' are two files"), "%s", err.text);
}

Test(requirements_files, what_cannot_be_read_is_named)
{
	_cleanup_free_ char *fifo = text_format("%s/fifo", scratch);

	write_text("mine.txt", "a\n-r none.txt\n");
	expect_failure("mine.txt", -EIO, "", "/none.txt' is not there");
	write_text("mine.txt", "-r fifo\n");
	cr_assert_eq(mkfifo(fifo, 0644), 0);
	expect_failure("mine.txt", -EIO, "", "/fifo': Invalid argument");
	write_text("mine.txt", "a\n\n-e .\n");
	expect_failure("mine.txt", -EINVAL, "REQUIREMENTS_INVALID", "/mine.txt', line 3: '--edit");
}

Test(requirements_files, there_are_limits)
{
	_cleanup_free_ char *big = alloc0(1, (1 << 20) + 2);
	int i;

	memset(big, '\n', (1 << 20) + 1);
	write_text("mine.txt", big);
	expect_failure("mine.txt", -EFBIG, "LIMIT_EXCEEDED", "more than 1048576 bytes");
	for (i = 0; i < 65; i++) {
		_cleanup_free_ char *name = text_format("%d.txt", i);
		_cleanup_free_ char *text = text_format("-r %d.txt\n", i + 1);

		write_text(name, text);
	}
	expect_failure("0.txt", -EFBIG, "LIMIT_EXCEEDED", "/64.txt' is one more than the 64");
	write_text("mine.txt", "");
	for (i = 0; i < 1024; i++) {
		_cleanup_free_ char *name = text_format("wheels/%d.whl", i);

		write_text(name, "");
	}
	cr_expect_eq(find("mine.txt", "wheels"), -EFBIG);
	cr_expect_str_eq(err.reason, "LIMIT_EXCEEDED");
}
