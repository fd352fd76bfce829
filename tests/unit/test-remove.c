#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include "daemon/worker/remove.h"
#include "tests/support/scratch.h"
#include "tests/support/trees.h"

static char *scratch, *parent;
static int parent_fd;

static void set_up(void)
{
	scratch = scratch_make();
	cr_assert_eq(chmod(scratch, 0755), 0);
	parent = text_format("%s/parent", scratch);
	cr_assert_eq(fs_make_directories(parent, 0711), 0);
	parent_fd = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	trees_write(scratch, "outside/keep", "x", 1, 0644);
}

static void tear_down(void)
{
	cr_expect(trees_exists(scratch, "outside/keep"));
	close(parent_fd);
	free(parent);
	scratch_remove(scratch);
}

static struct remove_job job_of(const char *const *names, size_t count)
{
	return (struct remove_job){
		.parent_fd = parent_fd,
		.names = (char *const *)names,
		.name_count = count,
		.threads = 3,
	};
}

static void make_layer(const char *name)
{
	_cleanup_free_ char *tree = text_format("%s/tree", name);
	_cleanup_free_ char *file = text_format("%s/tree/a/b/c/file", name);
	static const char *const below[] = { "/a/b/c", "/a/b", "/a", "" };
	_cleanup_free_ char *link = text_format("%s/%s/tree/a/link", parent, name);
	_cleanup_free_ char *top = text_format("%s/%s", parent, name);
	_cleanup_free_ char *manifest = text_format("%s/manifest", name);
	size_t i;

	trees_write(parent, file, "x", 1, 0444);
	trees_write(parent, manifest, "#mtree\n", 7, 0444);
	cr_assert_eq(symlink("../../../../outside", link), 0);
	for (i = 0; i < ARRAY_SIZE(below); i++) {
		_cleanup_free_ char *path = text_format("%s/%s%s", parent, tree, below[i]);

		cr_assert_eq(chmod(path, 0555), 0);
	}
	cr_assert_eq(chmod(top, 0555), 0);
}

TestSuite(remove, .init = set_up, .fini = tear_down);

Test(remove, a_layer_goes_with_all_that_is_read_only_in_it)
{
	const char *const names[] = { "a", "b" };
	struct remove_job job = job_of(names, 2);

	make_layer("a");
	make_layer("b");
	make_layer("c");
	job.are_layers = true;
	remove_run(&job);
	cr_expect_eq(job.failure_count, 0);
	cr_expect_not(trees_exists(parent, "a"));
	cr_expect_not(trees_exists(parent, "b"));
	cr_expect(trees_exists(parent, "c/tree/a/b/c/file"));
	remove_deinit(&job);
}

Test(remove, hundreds_go_in_one_job)
{
	enum { COUNT = 500 };
	char *names[COUNT];
	struct remove_job job = job_of((const char *const *)names, COUNT);
	size_t i;

	for (i = 0; i < COUNT; i++) {
		_cleanup_free_ char *file = text_format("lease-%zu/work/file", i);

		names[i] = text_format("lease-%zu", i);
		trees_write(parent, file, "x", 1, 0644);
	}
	remove_run(&job);
	cr_expect_eq(job.failure_count, 0);
	for (i = 0; i < COUNT; i++) {
		cr_expect_not(trees_exists(parent, names[i]));
		free(names[i]);
	}
	remove_deinit(&job);
}

Test(remove, what_is_gone_already_or_no_directory_is_no_failure)
{
	const char *const names[] = { "gone", "file", "link" };
	_cleanup_free_ char *link = text_format("%s/link", parent);
	struct remove_job job = job_of(names, 3);

	trees_write(parent, "file", "x", 1, 0644);
	cr_assert_eq(symlink("../outside", link), 0);
	remove_run(&job);
	cr_expect_eq(job.failure_count, 0);
	cr_expect_not(trees_exists(parent, "file"));
	cr_expect_not(trees_exists(parent, "link"));
	remove_deinit(&job);
}

Test(remove, names_that_lead_elsewhere_are_refused)
{
	const char *const names[] = { "..", ".", "", "a/../../outside", "/tmp" };
	struct remove_job job = job_of(names, 5);

	remove_run(&job);
	cr_expect_eq(job.failure_count, 5);
	cr_expect(strstr(job.failures[0], "'..' cannot be removed"));
	cr_expect(trees_exists(scratch, "parent"));
	remove_deinit(&job);
}

Test(remove, no_depth_is_too_deep)
{
	const char *const names[] = { "deep" };
	struct remove_job job = job_of(names, 1);
	int fd = parent_fd, next, i;

	cr_assert_eq(mkdirat(fd, "deep", 0755), 0);
	fd = openat(fd, "deep", O_RDONLY | O_DIRECTORY);
	for (i = 0; i < 3000; i++) {
		cr_assert_eq(mkdirat(fd, "d", 0755), 0);
		next = openat(fd, "d", O_RDONLY | O_DIRECTORY);
		if (i % 100 == 0)
			fchmod(fd, 0500);
		close(fd);
		fd = next;
	}
	close(fd);
	remove_run(&job);
	cr_expect_eq(job.failure_count, 0);
	cr_expect_not(trees_exists(parent, "deep"));
	remove_deinit(&job);
}

Test(remove, a_layer_is_waited_for_while_somebody_writes_it)
{
	const char *const names[] = { "a" };
	_cleanup_free_ char *path = text_format("%s/a", parent);
	int lock, status = -1;
	struct pollfd p = { .events = POLLIN };
	pid_t pid;

	make_layer("a");
	lock = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	cr_assert_eq(flock(lock, LOCK_EX), 0);
	pid = fork();
	if (pid == 0) {
		struct remove_job job = job_of(names, 1);

		close(lock);
		job.are_layers = true;
		remove_run(&job);
		_exit((int)job.failure_count);
	}
	p.fd = (int)syscall(SYS_pidfd_open, pid, 0);
	cr_expect_eq(poll(&p, 1, 50), 0);
	cr_expect(trees_exists(parent, "a/manifest"));
	flock(lock, LOCK_UN);
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	cr_expect_eq(status, 0);
	cr_expect_not(trees_exists(parent, "a"));
	close(lock);
	close(p.fd);
}

/* ---- as somebody else; for root */

static const struct identity other = { .uid = 4711, .gid = 4711 };

static void give_away(const char *name)
{
	_cleanup_free_ char *path = text_format("%s/%s", parent, name);

	cr_assert_eq(chown(path, other.uid, other.gid), 0);
}

Test(remove, what_is_somebody_elses_is_emptied_as_he)
{
	const char *const names[] = { "lease" };
	_cleanup_free_ char *closed = text_format("%s/lease/work/closed", parent);
	_cleanup_free_ char *top = text_format("%s/lease", parent);
	_cleanup_free_ char *only = text_format("%s/lease/work/only", parent);
	struct remove_job job = job_of(names, 1);

	if (geteuid() != 0)
		cr_skip("only root can act as others");
	trees_write(parent, "lease/work/closed/file", "x", 1, 0600);
	trees_write(parent, "lease/work/only/below/file", "x", 1, 0600);
	give_away("lease");
	give_away("lease/work");
	give_away("lease/work/only");
	give_away("lease/work/only/below");
	cr_assert_eq(chmod(only, 0555), 0);
	give_away("lease/work/closed");
	give_away("lease/work/closed/file");
	cr_assert_eq(chmod(closed, 0), 0);
	cr_assert_eq(chmod(top, 0), 0);
	job.owner = &other;
	remove_run(&job);
	cr_expect_eq(job.failure_count, 0, "%s", job.failure_count ? job.failures[0] : "");
	cr_expect_not(trees_exists(parent, "lease"));
	remove_deinit(&job);
}

Test(remove, what_he_may_not_remove_is_told_and_the_others_go)
{
	const char *const names[] = { "mixed", "plain" };
	struct remove_job job = job_of(names, 2);

	if (geteuid() != 0)
		cr_skip("only root can act as others");
	trees_write(parent, "mixed/work/roots/file", "x", 1, 0644);
	trees_write(parent, "plain/file", "x", 1, 0644);
	give_away("mixed");
	give_away("mixed/work");
	give_away("plain");
	job.owner = &other;
	remove_run(&job);
	cr_assert_eq(job.failure_count, 1);
	cr_expect(strstr(job.failures[0], "'mixed' cannot be removed: Permission denied"), "%s",
		job.failures[0]);
	cr_expect(trees_exists(parent, "mixed/work/roots/file"));
	cr_expect_not(trees_exists(parent, "plain"));
	remove_deinit(&job);
}
