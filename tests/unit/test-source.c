#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include "daemon/worker/digest.h"
#include "daemon/worker/locate.h"
#include "tests/support/scratch.h"
#include "tests/support/trees.h"

static char *scratch;
static struct identity peer;
static struct source source = SOURCE_INIT;
static struct error err;

static void set_up(void)
{
	scratch = scratch_make();
	cr_assert_eq(chmod(scratch, 0755), 0);
	peer = (struct identity){ .uid = geteuid(), .gid = getegid() };
}

static void tear_down(void)
{
	source_close(&source);
	scratch_remove(scratch);
}

static char *path_of(const char *name)
{
	return text_format("%s/%s", scratch, name);
}

static void expect_open(
	const char *path, bool may_be_directory, const char *reason, const char *words)
{
	int r = source_open(&source, path, &peer, NULL, may_be_directory, &err);

	cr_expect_lt(r, 0, "%s was opened", path);
	cr_expect_str_eq(err.reason, reason, "%s", err.text);
	cr_expect(strstr(err.text, path), "%s", err.text);
	cr_expect(strstr(err.text, words), "%s", err.text);
	source_close(&source);
}

TestSuite(source, .init = set_up, .fini = tear_down);

Test(source, only_files_are_files)
{
	_cleanup_free_ char *fifo = path_of("fifo"), *socket_path = path_of("socket");
	_cleanup_free_ char *link = path_of("link");
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	strcpy(address.sun_path, socket_path);
	cr_assert_eq(mkfifo(fifo, 0644), 0);
	cr_assert_eq(symlink("fifo", link), 0);
	cr_assert_eq(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	expect_open(fifo, true, "SOURCE_NOT_A_FILE", "is a fifo");
	expect_open(link, true, "SOURCE_NOT_A_FILE", "is a fifo");
	expect_open(socket_path, true, "SOURCE_NOT_A_FILE", "is a socket");
	expect_open("/dev/null", true, "SOURCE_NOT_A_FILE", "is a device");
	expect_open(scratch, false, "SOURCE_NOT_A_FILE", "is a directory");
	cr_expect_eq(source_open(&source, scratch, &peer, NULL, true, &err), 0);
	cr_expect(source.is_directory);
	close(fd);
}

Test(source, what_is_missing_or_relative_is_told)
{
	_cleanup_free_ char *missing = path_of("missing"), *below = path_of("file/below");
	_cleanup_free_ char *circle = path_of("circle");

	trees_write(scratch, "file", "x", 1, 0644);
	cr_assert_eq(symlink("circle", circle), 0);
	expect_open(missing, false, "SOURCE_NOT_FOUND", "is not there");
	expect_open(below, false, "SOURCE_NOT_FOUND", "is not there");
	expect_open(circle, false, "SOURCE_NOT_FOUND", "circle");
	expect_open("relative/path", false, "REQUEST_INVALID", "not absolute");
}

Test(source, what_the_client_may_not_read_is_not_read_for_him)
{
	_cleanup_free_ char *file = path_of("secret"), *closed = path_of("closed/file");
	_cleanup_free_ char *directory = path_of("closed");

	if (geteuid() != 0)
		cr_skip("only root can act as others");
	trees_write(scratch, "secret", "x", 1, 0600);
	trees_write(scratch, "closed/file", "x", 1, 0644);
	cr_assert_eq(chmod(directory, 0700), 0);
	peer = (struct identity){ .uid = 4711, .gid = 4711 };
	expect_open(file, false, "SOURCE_UNREADABLE", "may not be read by you");
	expect_open(closed, false, "SOURCE_UNREADABLE", "may not be read by you");
	/* And we are ourselves again. */
	cr_expect_eq(access(file, R_OK), 0);
}

Test(source, another_file_than_was_expected_has_changed)
{
	_cleanup_free_ char *path = path_of("file");
	struct fs_identity expected;

	trees_write(scratch, "file", "one", 3, 0644);
	cr_assert_eq(source_open(&source, path, &peer, NULL, false, &err), 0);
	expected = source.identity;
	source_close(&source);
	cr_assert_eq(source_open(&source, path, &peer, &expected, false, &err), 0);
	cr_expect_eq(source_check(&source, &err), 0);
	trees_write(scratch, "file", "three", 5, 0644);
	cr_expect_eq(source_check(&source, &err), -ESTALE);
	source_close(&source);
	cr_expect_eq(source_open(&source, path, &peer, &expected, false, &err), -ESTALE);
	cr_expect_str_eq(err.reason, "SOURCE_CHANGED");
}

Test(source, a_private_copy_stays_as_it_was)
{
	_cleanup_free_ char *path = path_of("file");
	int fd = open(scratch, O_RDONLY | O_DIRECTORY);

	trees_write(scratch, "file", "one", 3, 0644);
	cr_assert_eq(source_open(&source, path, &peer, NULL, false, &err), 0);
	cr_assert_eq(source_copy(&source, fd, 0, &err), 0, "%s", err.text);
	trees_write(scratch, "file", "two, longer", 11, 0644);
	cr_expect_eq(source_check(&source, &err), 0);
	cr_assert_eq(source_map(&source, &err), 0);
	cr_expect_eq(source.size, 3);
	cr_expect_arr_eq(source.data, "one", 3);
	source_close(&source);

	cr_assert_eq(source_open(&source, path, &peer, NULL, false, &err), 0);
	cr_expect_eq(source_copy(&source, fd, UINT64_C(1) << 60, &err), -ENOSPC);
	cr_expect_str_eq(err.reason, "NO_SPACE");
	close(fd);
}

/* ---- digests of directories */

static void digest_of(const char *name, uint8_t digest[SHA256_SIZE])
{
	_cleanup_(report_freep) struct report *report = report_new(&(struct report_sink){ 0 });
	_cleanup_free_ char *path = path_of(name);

	cr_assert_eq(source_open(&source, path, &peer, NULL, true, &err), 0, "%s", err.text);
	cr_assert_eq(digest_directory(&source, &peer, report, digest, &err), 0, "%s", err.text);
	source_close(&source);
}

static void make_directory(const char *name)
{
	_cleanup_free_ char *a = text_format("%s/a.py", name), *b = text_format("%s/sub/b", name);
	_cleanup_free_ char *link = text_format("%s/%s/link", scratch, name);

	trees_write(scratch, a, "a = 1\n", 6, 0644);
	trees_write(scratch, b, "", 0, 0644);
	cr_assert_eq(symlink("a.py", link), 0);
}

Test(source, a_directorys_digest_is_that_of_its_content)
{
	uint8_t first[SHA256_SIZE], other[SHA256_SIZE];
	_cleanup_free_ char *program = path_of("one/a.py"), *link = path_of("one/link");

	make_directory("one");
	make_directory("two");
	digest_of("one", first);
	digest_of("two", other);
	cr_expect_arr_eq(first, other, SHA256_SIZE);

	cr_assert_eq(chmod(program, 0755), 0);
	digest_of("one", other);
	cr_expect_arr_neq(first, other, SHA256_SIZE);
	cr_assert_eq(chmod(program, 0640), 0);
	digest_of("one", other);
	cr_expect_arr_eq(first, other, SHA256_SIZE);

	cr_assert_eq(unlink(link), 0);
	cr_assert_eq(symlink("sub", link), 0);
	digest_of("one", other);
	cr_expect_arr_neq(first, other, SHA256_SIZE);
	trees_write(scratch, "two/a.py", "a = 2\n", 6, 0644);
	digest_of("two", other);
	cr_expect_arr_neq(first, other, SHA256_SIZE);
}

/* ---- locating */

static int locate(char *const *paths, size_t count, bool executable, struct worker_locate *ret)
{
	*ret = (struct worker_locate){
		.paths = paths,
		.path_count = count,
		.executable = executable,
		.peer = &peer,
	};
	return worker_locate(ret, &err);
}

Test(source, the_first_path_that_is_there_is_found)
{
	char *paths[] = { path_of("missing"), path_of("file/no"), path_of("data"),
		path_of("tool") };
	struct worker_locate found;
	size_t i;

	trees_write(scratch, "file", "x", 1, 0644);
	trees_write(scratch, "data", "x", 1, 0644);
	trees_write(scratch, "tool", "x", 1, 0755);
	cr_assert_eq(locate(paths, 4, false, &found), 0);
	cr_expect_eq(found.index, 2);
	cr_assert_eq(locate(paths, 4, true, &found), 0);
	cr_expect_eq(found.index, 3);
	cr_expect_eq(locate(paths, 3, true, &found), -EACCES);
	cr_expect(strstr(err.text, "data"), "%s", err.text);
	cr_expect_eq(locate(paths, 2, true, &found), -ENOENT);
	for (i = 0; i < 4; i++)
		free(paths[i]);
}
