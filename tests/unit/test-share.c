#include <criterion/criterion.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include "daemon/worker/adopt.h"
#include "daemon/worker/share.h"
#include "tests/support/scratch.h"
#include "tests/support/trees.h"

#define THEIR_TIME 1600000000
#define OUR_TIME 1700000000
#define MAX_SIBLINGS 2

static char *scratch, *layer, *tree, *siblings[MAX_SIBLINGS];
static int layer_fd, tree_fd, sibling_fds[MAX_SIBLINGS];
static struct place *place;
static struct share share;
static bool can_clone;

static char *make_directory(const char *name, int *fd)
{
	char *path = text_format("%s/%s", scratch, name);

	cr_assert_eq(mkdir(path, 0755), 0);
	*fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return path;
}

static bool probe_clone(void)
{
	_cleanup_close_ int from = openat(sibling_fds[0], "probe", O_RDWR | O_CREAT, 0600);
	_cleanup_close_ int to = openat(layer_fd, "probe", O_RDWR | O_CREAT, 0600);
	bool can = write(from, "x", 1) == 1 && fs_clone(from, to) == 0;

	unlinkat(sibling_fds[0], "probe", 0);
	unlinkat(layer_fd, "probe", 0);
	return can;
}

static void set_up(void)
{
	umask(0);
	scratch = scratch_make();
	layer = make_directory("layer", &layer_fd);
	tree = make_directory("layer/tree", &tree_fd);
	siblings[0] = make_directory("first", &sibling_fds[0]);
	siblings[1] = make_directory("second", &sibling_fds[1]);
	can_clone = probe_clone();
}

static void tear_down(void)
{
	size_t i;

	place_free(place);
	for (i = 0; i < MAX_SIBLINGS; i++) {
		close(sibling_fds[i]);
		free(siblings[i]);
	}
	close(tree_fd);
	close(layer_fd);
	free(tree);
	free(layer);
	scratch_remove(scratch);
}

TestSuite(share, .init = set_up, .fini = tear_down);

static void write_file(
	const char *directory, const char *name, const char *text, int mode, time_t mtime)
{
	_cleanup_free_ char *path = text_format("%s/%s", directory, name);
	struct timespec times[2] = { { mtime, 0 }, { mtime, 0 } };

	trees_write(directory, name, text, strlen(text), mode);
	cr_assert_eq(utimensat(AT_FDCWD, path, times, 0), 0);
}

static void theirs(size_t i, const char *name, const char *text)
{
	write_file(siblings[i], name, text, 0444, THEIR_TIME);
}

static void ours(const char *name, const char *text)
{
	write_file(tree, name, text, 0644, OUR_TIME);
}

static void run(void)
{
	struct place_limits limits = { 0 };
	struct adopt adopt = { .tree_fd = tree_fd, .threads = 2 };
	struct error err;

	place = adopt.place = place_new(tree_fd, "/r.txt", &limits);
	cr_assert_eq(adopt_tree(&adopt, &err), 0, "%s", err.text);
	share = (struct share){
		.directory_fd = layer_fd,
		.tree_fd = tree_fd,
		.place = place,
		.siblings = sibling_fds,
		.sibling_count = MAX_SIBLINGS,
		.threads = 2,
	};
	share_files(&share);
}

static struct stat look(int directory, const char *name)
{
	struct stat st;

	cr_assert_eq(fstatat(directory, name, &st, AT_SYMLINK_NOFOLLOW), 0, "%s", name);
	return st;
}

static bool is_linked(size_t i, const char *name)
{
	return look(tree_fd, name).st_ino == look(sibling_fds[i], name).st_ino;
}

/* What the manifest is going to say is what is there. */
static void expect_described(void)
{
	size_t i;

	for (i = 0; i < place_sort(place); i++) {
		struct place_view view = place_get(place, i);

		if (view.type == PLACE_FILE)
			cr_expect_eq(
				view.mtime, look(tree_fd, view.name).st_mtime, "%s", view.name);
	}
	cr_expect_eq(faccessat(layer_fd, ".shared-0", F_OK, 0), -1);
	cr_expect_eq(faccessat(layer_fd, ".shared-1", F_OK, 0), -1);
}

static void expect_shared(size_t i, const char *name, const char *text)
{
	_cleanup_free_ char *found = trees_read(tree, name);

	cr_expect_eq(share.bytes, strlen(text), "%s: %llu", name, (unsigned long long)share.bytes);
	cr_expect_str_eq(found, text);
	cr_expect_eq(is_linked(i, name), !can_clone, "%s", name);
	cr_expect_eq(look(tree_fd, name).st_mtime, can_clone ? OUR_TIME : THEIR_TIME);
	expect_described();
}

static void expect_not_shared(const char *name)
{
	cr_expect_eq(share.bytes, 0, "%s", name);
	cr_expect_eq(look(tree_fd, name).st_nlink, 1);
	cr_expect_eq(look(tree_fd, name).st_mtime, OUR_TIME);
	expect_described();
}

Test(share, a_file_that_is_the_same_is_shared)
{
	theirs(0, "a/b/file", "content");
	ours("a/b/file", "content");
	run();
	expect_shared(0, "a/b/file", "content");
	cr_expect_eq(look(tree_fd, "a/b/file").st_mode & 07777, 0444);
}

Test(share, large_files_are_compared_to_their_end)
{
	_cleanup_free_ char *text = new0_array(char, 1000001);

	memset(text, 'x', 1000000);
	theirs(1, "same", text);
	ours("same", text);
	ours("other", text);
	text[999999] = 'y';
	theirs(0, "same", text);
	theirs(0, "other", text);
	run();
	cr_expect_eq(share.bytes, 1000000);
	cr_expect_eq(is_linked(1, "same"), !can_clone);
	cr_expect_not(is_linked(0, "other"));
	expect_described();
}

Test(share, other_content_of_the_same_size_is_not_shared)
{
	theirs(0, "file", "contenT");
	ours("file", "content");
	run();
	expect_not_shared("file");
}

Test(share, another_mode_is_not_shared)
{
	write_file(siblings[0], "file", "content", 0555, THEIR_TIME);
	ours("file", "content");
	run();
	expect_not_shared("file");
}

Test(share, what_its_owner_may_write_is_not_shared)
{
	write_file(siblings[0], "file", "content", 0644, THEIR_TIME);
	ours("file", "content");
	run();
	expect_not_shared("file");
}

Test(share, what_somebody_else_owns_is_not_shared)
{
	theirs(0, "file", "content");
	ours("file", "content");
	if (geteuid() == 0)
		cr_assert_eq(fchownat(sibling_fds[0], "file", 12345, 12345, 0), 0);
	else
		cr_assert_eq(unlinkat(sibling_fds[0], "file", 0), 0);
	run();
	expect_not_shared("file");
}

Test(share, what_somebody_could_still_write_to_is_not_shared)
{
	_cleanup_close_ int fd = -1;

	write_file(siblings[0], "file", "content", 0644, THEIR_TIME);
	fd = openat(sibling_fds[0], "file", O_WRONLY | O_CLOEXEC);
	cr_assert_geq(fd, 0);
	cr_assert_eq(fchmod(fd, 0444), 0);
	ours("file", "content");
	run();
	expect_not_shared("file");
}

Test(share, a_link_in_a_sibling_is_not_followed)
{
	theirs(1, "elsewhere/file", "content");
	cr_assert_eq(symlinkat("../second/elsewhere", sibling_fds[0], "a"), 0);
	cr_assert_eq(symlinkat("../second/elsewhere/file", sibling_fds[0], "link"), 0);
	ours("a/file", "content");
	ours("link", "content");
	run();
	expect_not_shared("a/file");
	expect_not_shared("link");
}

Test(share, a_sibling_that_is_gone_is_passed_over)
{
	theirs(1, "file", "content");
	ours("file", "content");
	cr_assert_eq(rmdir(siblings[0]), 0);
	run();
	expect_shared(1, "file", "content");
}

static const char timed[] = "\x01\x02\x03\x04\0\0\0\0time";
static const char unchecked[] = "\x01\x02\x03\x04\1\0\0\0hash";

static void add_bytecode(const char *name, const char *data)
{
	trees_write(tree, name, data, sizeof(timed) - 1, 0644);
}

Test(share, a_python_file_whose_bytecode_goes_by_its_time_keeps_it)
{
	theirs(0, "pkg/a.py", "pass\n");
	ours("pkg/a.py", "pass\n");
	add_bytecode("pkg/__pycache__/a.cpython-311.opt-1.pyc", timed);
	run();
	cr_expect_eq(look(tree_fd, "pkg/a.py").st_mtime, OUR_TIME);
	cr_expect_not(is_linked(0, "pkg/a.py"));
	expect_described();
}

Test(share, a_python_file_with_other_bytecode_is_shared)
{
	theirs(0, "pkg/a.py", "pass\n");
	ours("pkg/a.py", "pass\n");
	add_bytecode("pkg/__pycache__/a.cpython-311.pyc", unchecked);
	add_bytecode("pkg/__pycache__/ab.cpython-311.pyc", timed);
	add_bytecode("__pycache__/a.cpython-311.pyc", timed);
	run();
	expect_shared(0, "pkg/a.py", "pass\n");
}

Test(share, a_python_file_of_the_same_time_is_shared_whatever_its_bytecode)
{
	write_file(siblings[0], "a.py", "pass\n", 0444, OUR_TIME);
	ours("a.py", "pass\n");
	add_bytecode("__pycache__/a.cpython-311.pyc", timed);
	run();
	cr_expect_eq(share.bytes, strlen("pass\n"));
	cr_expect_eq(is_linked(0, "a.py"), !can_clone);
}
