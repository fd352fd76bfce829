#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/xattr.h>
#include <unistd.h>
#include "daemon/worker/digest.h"
#include "daemon/worker/extract.h"
#include "tests/support/scratch.h"
#include "tests/support/trees.h"

static char *scratch, *directory;
static struct report *report;
static struct source source;
static struct identity peer;
static struct extract job;
static struct error err;
static uint8_t told[SHA256_SIZE];
static int tellings;

static void on_digested(
	void *data, const struct fs_identity *file, const uint8_t sha256[SHA256_SIZE])
{
	tellings++;
	memcpy(told, sha256, SHA256_SIZE);
}

static void set_up(void)
{
	const struct report_sink sink = { .digested = on_digested };

	umask(0);
	peer = (struct identity){ .uid = geteuid(), .gid = getegid() };
	scratch = scratch_make();
	directory = text_format("%s/state/layers/a", scratch);
	cr_assert_eq(fs_make_directories(directory, 0700), 0);
	report = report_new(&sink);
	job = (struct extract){
		.source = &source,
		.peer = &peer,
		.bytecode = BYTECODE_NEVER,
		.access_all = true,
		.threads = 3,
		.directory_fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC),
		.directory = directory,
		.header = "pyenvd layer 1\nid a",
		.report = report,
		.limits = {
			.max_bytes = 256 << 20,
			.max_entries = 1000,
			.max_depth = 60,
			.max_name = 4095,
			.max_ratio = 200,
			.ratio_floor_bytes = 16 << 20,
		},
	};
}

static void tear_down(void)
{
	source_close(&source);
	report_free(report);
	free(directory);
	scratch_remove(scratch);
}

static int extract_path(const char *path)
{
	int r;

	r = source_open(&source, path, job.peer, NULL, job.kind == EXTRACT_DIRECTORY, &err);
	return r ? r : extract_run(&job, &err);
}

static int extract(const char *name)
{
	_cleanup_free_ char *path = trees_archive(name);

	source.path = NULL;
	return extract_path(path);
}

static char *tree(void)
{
	return text_format("%s/tree", directory);
}

static void expect_manifest_tells_the_tree(void)
{
	_cleanup_free_ char *path = text_format("%s/manifest", directory), *top = tree();
	_cleanup_free_ char *is = trees_describe(top), *says = trees_describe_manifest(path);

	cr_expect_str_eq(says, is);
}

TestSuite(extract, .init = set_up, .fini = tear_down);

/* ---- what is good: each in a directory of its own */

static void check_good(const char *name, const char *format)
{
	_cleanup_free_ char *expected = trees_expected(name);
	_cleanup_free_ char *top = NULL, *is = NULL;

	set_up();
	cr_assert_eq(extract(name), 0, "%s: %s", name, err.text);
	top = tree();
	is = trees_describe(top);
	cr_expect_str_eq(is, expected, "%s", name);
	cr_expect_str_eq(job.format, format, "%s", name);
	expect_manifest_tells_the_tree();
	tear_down();
}

Test(good, every_zip_becomes_what_it_says)
{
	static const char *const names[] = { "plain.zip", "methods.zip", "prepended.zip",
		"twice.zip", "zip64.zip", "modeless.zip" };
	size_t i;

	for (i = 0; i < ARRAY_SIZE(names); i++)
		check_good(names[i], "zip");
}

Test(good, every_tar_becomes_what_it_says)
{
	static const char *const names[] = { "plain.tar", "pax.tar", "dotted.tar", "long-gnu.tar",
		"long-pax.tar", "unicode.tar", "latin.tar", "hardlink.tar", "zip-inside.tar",
		"sparse-gnu.tar", "sparse-pax.tar" };
	size_t i;

	for (i = 0; i < ARRAY_SIZE(names); i++)
		check_good(names[i], "tar");
}

Test(good, every_compression_is_known)
{
	check_good("plain.tar.gz", "tar+gzip");
	check_good("members.tar.gz", "tar+gzip");
	check_good("zeros.tar.gz", "tar+gzip");
	check_good("plain.tar.bz2", "tar+bzip2");
	check_good("plain.tar.xz", "tar+xz");
	check_good("plain.tar.zst", "tar+zstd");
}

Test(extract, hard_links_share_their_file)
{
	_cleanup_free_ char *a = text_format("%s/tree/a", directory);
	struct stat st;

	cr_assert_eq(extract("hardlink.tar"), 0);
	cr_assert_eq(stat(a, &st), 0);
	cr_expect_eq(st.st_nlink, 3);
	cr_expect_eq(job.bytes, 6);
	cr_expect_eq(job.entries, 4);
}

Test(extract, holes_stay_holes)
{
	_cleanup_free_ char *path = text_format("%s/tree/holes", directory);
	struct stat st;

	cr_assert_eq(extract("sparse-gnu.tar"), 0);
	cr_assert_eq(stat(path, &st), 0);
	cr_expect_gt(st.st_size, 5000000);
	cr_expect_lt(st.st_blocks * 512, 1000000);
}

/* ---- what is bad */

struct bad {
	const char *name, *reason, *words;
};

static void check_bad(const struct bad *bad)
{
	_cleanup_free_ char *path = trees_archive(bad->name), *evil = NULL;
	int r;

	set_up();
	r = extract(bad->name);
	cr_expect_lt(r, 0, "%s was taken", bad->name);
	cr_expect_eq(r, err.r, "%s: %d", bad->name, r);
	cr_expect_str_eq(err.reason, bad->reason, "%s: %s '%s'", bad->name, err.reason, err.text);
	cr_expect(strstr(err.text, path), "%s is not named: '%s'", bad->name, err.text);
	cr_expect(strstr(err.text, bad->words), "%s: '%s'", bad->name, err.text);
	cr_expect_not(trees_exists(directory, "manifest"), "%s", bad->name);
	cr_expect_not(trees_exists(scratch, "evil"), "%s", bad->name);
	cr_expect_not(trees_exists(directory, "evil"), "%s", bad->name);
	cr_expect_not(trees_exists("/tmp", "evil"), "%s", bad->name);
	cr_expect_not(trees_exists("/etc", "evil"), "%s", bad->name);
	memset(&err, 0, sizeof(err));
	close(job.lock_fd);
	tear_down();
}

static void check_all_bad(const struct bad *bad, size_t count)
{
	size_t i;

	for (i = 0; i < count; i++)
		check_bad(&bad[i]);
}

Test(bad, names_that_leave_the_tree_are_refused)
{
	static const struct bad cases[] = {
		{ "absolute.tar", "ENTRY_FORBIDDEN", "'/etc/evil' has an absolute name" },
		{ "absolute.zip", "ENTRY_FORBIDDEN", "'/etc/evil' has an absolute name" },
		{ "dotdot.tar", "ENTRY_FORBIDDEN", "'a/../../evil' climbs" },
		{ "dotdot.zip", "ENTRY_FORBIDDEN", "'a/../../evil' climbs" },
		{ "dotdot-inside.tar", "ENTRY_FORBIDDEN", "'a/../b' climbs" },
		{ "dotdot-inside.zip", "ENTRY_FORBIDDEN", "'a/../b' climbs" },
		{ "beneath-link.tar", "ENTRY_FORBIDDEN", "'out/evil' lies beneath a symbolic" },
		{ "beneath-link.zip", "ENTRY_FORBIDDEN", "'out/evil' lies beneath a symbolic" },
		{ "hardlink-absolute.tar", "ENTRY_FORBIDDEN", "'/etc/passwd'" },
		{ "hardlink-dotdot.tar", "ENTRY_FORBIDDEN", "'../etc/passwd'" },
		{ "whole-tree.tar", "ENTRY_FORBIDDEN", "whole tree" },
		{ "long-component.tar", "ENTRY_FORBIDDEN", "255" },
		{ "long-component.zip", "ENTRY_FORBIDDEN", "255" },
		{ "nul.zip", "ENTRY_FORBIDDEN", "NUL" },
	};

	check_all_bad(cases, ARRAY_SIZE(cases));
}

Test(bad, what_is_neither_file_nor_directory_nor_link_is_refused)
{
	static const struct bad cases[] = {
		{ "fifo.tar", "ENTRY_FORBIDDEN", "'dev' is a device, fifo or socket" },
		{ "character.tar", "ENTRY_FORBIDDEN", "'dev' is a device, fifo or socket" },
		{ "block.tar", "ENTRY_FORBIDDEN", "'dev' is a device, fifo or socket" },
		{ "device.zip", "ENTRY_FORBIDDEN", "'one.txt' is a device, fifo or socket" },
		{ "empty-link.zip", "ENTRY_FORBIDDEN", "'nowhere' is a symbolic link to nowhere" },
	};

	check_all_bad(cases, ARRAY_SIZE(cases));
}

Test(bad, entries_that_contradict_each_other_are_refused)
{
	static const struct bad cases[] = {
		{ "link-over-directory.tar", "ENTRY_CONFLICT", "'d'" },
		{ "link-over-directory.zip", "ENTRY_CONFLICT", "'d'" },
		{ "directory-over-link.tar", "ENTRY_CONFLICT", "a symbolic link is" },
		{ "directory-over-link.zip", "ENTRY_CONFLICT", "a symbolic link is" },
		{ "file-over-directory.tar", "ENTRY_CONFLICT", "'d'" },
		{ "file-over-directory.zip", "ENTRY_CONFLICT", "'d'" },
		{ "beneath-file.tar", "ENTRY_CONFLICT", "'d/f' lies beneath what is no directory" },
		{ "beneath-file.zip", "ENTRY_CONFLICT", "'d/f' lies beneath what is no directory" },
		{ "different-twice.tar", "ENTRY_CONFLICT", "twice with different content" },
		{ "different-twice.zip", "ENTRY_CONFLICT", "twice with different content" },
		{ "links-twice.tar", "ENTRY_CONFLICT", "two different targets" },
		{ "links-twice.zip", "ENTRY_CONFLICT", "two different targets" },
		{ "hardlink-missing.tar", "ENTRY_CONFLICT", "'h' is a hard link to what is no" },
		{ "hardlink-self.tar", "ENTRY_CONFLICT", "'h' is a hard link to what is no" },
		{ "hardlink-directory.tar", "ENTRY_CONFLICT", "'h' is a hard link to what is no" },
	};

	check_all_bad(cases, ARRAY_SIZE(cases));
}

Test(bad, limits_are_named_with_their_value)
{
	static const struct bad cases[] = {
		{ "many.tar", "LIMIT_EXCEEDED", "1000 entries" },
		{ "many.zip", "LIMIT_EXCEEDED", "1000 entries" },
		{ "deep.tar", "LIMIT_EXCEEDED", "60 directories deep" },
		{ "deep.zip", "LIMIT_EXCEEDED", "60 directories deep" },
		{ "bomb.zip", "LIMIT_EXCEEDED", "200 times" },
		{ "bomb.tar.gz", "LIMIT_EXCEEDED", "200 times" },
		{ "tail.tar.gz", "LIMIT_EXCEEDED", "200 times" },
		{ "bomb.tar", "LIMIT_EXCEEDED", "268435456 bytes" },
		{ "very-long-name.tar", "ENTRY_FORBIDDEN", "cannot keep" },
		{ "very-long-name.zip", "ENTRY_FORBIDDEN", "cannot keep" },
	};

	check_all_bad(cases, ARRAY_SIZE(cases));
}

Test(bad, damaged_zips_are_refused)
{
	static const struct bad cases[] = {
		{ "cut.zip", "ARCHIVE_CORRUPT", "its directory" },
		{ "half.zip", "ARCHIVE_CORRUPT", "its directory" },
		{ "crc.zip", "ARCHIVE_CORRUPT", "'one.txt'" },
		{ "longer.zip", "ARCHIVE_CORRUPT", "'one.txt'" },
		{ "shorter.zip", "ARCHIVE_CORRUPT", "'one.txt'" },
		{ "damaged.zip", "ARCHIVE_CORRUPT", "'noise'" },
		{ "method.zip", "ARCHIVE_UNSUPPORTED", "method 97" },
		{ "encrypted.zip", "ARCHIVE_ENCRYPTED", "'one.txt' is encrypted" },
	};

	check_all_bad(cases, ARRAY_SIZE(cases));
}

Test(bad, damaged_tars_are_refused)
{
	static const struct bad cases[] = {
		{ "cut.tar", "ARCHIVE_CORRUPT", "truncated" },
		{ "endless.tar", "ARCHIVE_CORRUPT", "end is not there" },
		{ "checksum.tar", "ARCHIVE_CORRUPT", "damaged" },
		{ "cut.tar.gz", "ARCHIVE_CORRUPT", "not whole" },
		{ "cut-trailer.tar.gz", "ARCHIVE_CORRUPT", "not whole" },
		{ "crc.tar.gz", "ARCHIVE_CORRUPT", "tar+gzip" },
		{ "length.tar.gz", "ARCHIVE_CORRUPT", "tar+gzip" },
		{ "garbage.tar.gz", "ARCHIVE_CORRUPT", "tar+gzip" },
		{ "cut.tar.bz2", "ARCHIVE_CORRUPT", "tar+bzip2" },
		{ "cut.tar.xz", "ARCHIVE_CORRUPT", "tar+xz" },
		{ "cut.tar.zst", "ARCHIVE_CORRUPT", "tar+zstd" },
	};

	check_all_bad(cases, ARRAY_SIZE(cases));
}

Test(bad, what_is_no_archive_or_empty_is_refused)
{
	static const struct bad cases[] = {
		{ "nothing", "ARCHIVE_EMPTY", "is empty" },
		{ "empty.zip", "ARCHIVE_EMPTY", "empty zip" },
		{ "empty.tar", "ARCHIVE_EMPTY", "empty tar" },
		{ "empty.tar.gz", "ARCHIVE_EMPTY", "empty tar" },
		{ "nothing.tar.gz", "ARCHIVE_EMPTY", "nothing" },
		{ "text.gz", "ARCHIVE_UNRECOGNISED", "no tar" },
		{ "text", "ARCHIVE_UNRECOGNISED", "no kind" },
		{ "byte", "ARCHIVE_UNRECOGNISED", "no kind" },
		{ "page", "ARCHIVE_UNRECOGNISED", "a web page" },
		{ "seven", "ARCHIVE_UNRECOGNISED", "a 7z archive" },
	};

	check_all_bad(cases, ARRAY_SIZE(cases));
}

Test(extract, a_disk_that_is_too_full_is_told_before_anything_is_written)
{
	job.limits.reserve_bytes = UINT64_C(1) << 60;
	cr_expect_eq(extract("plain.zip"), -ENOSPC);
	cr_expect_str_eq(err.reason, "NO_SPACE");
	cr_expect_not(trees_exists(directory, "tree/top.txt"));
}

/* ---- the rest of a layer */

Test(extract, the_digest_is_told_when_it_is_asked_for)
{
	_cleanup_free_ char *path = trees_archive("plain.zip");
	_cleanup_buffer_ struct buffer content = { 0 };
	_cleanup_(sha256_freep) struct sha256 *sha256 = sha256_new();
	uint8_t digest[SHA256_SIZE];

	job.hash = true;
	cr_assert_eq(extract("plain.zip"), 0);
	cr_assert_eq(fs_read_file(AT_FDCWD, path, 64 << 20, &content), 0);
	sha256_add(sha256, content.data, content.size);
	sha256_end(sha256, digest);
	cr_expect_eq(tellings, 1);
	cr_expect_arr_eq(told, digest, SHA256_SIZE);
	cr_expect_arr_eq(job.digest, digest, SHA256_SIZE);
}

Test(extract, a_private_copy_with_another_digest_has_changed)
{
	static const uint8_t other[SHA256_SIZE] = { 1 };

	job.expected_sha256 = other;
	job.copy_first = true;
	cr_expect_eq(extract("plain.zip"), -ESTALE);
	cr_expect_str_eq(err.reason, "SOURCE_CHANGED");
	cr_expect_not(trees_exists(directory, "copy"));
}

Test(extract, another_digest_tells_more_than_the_damage_that_comes_of_it)
{
	static const uint8_t other[SHA256_SIZE] = { 1 };

	job.expected_sha256 = other;
	job.copy_first = true;
	cr_expect_eq(extract("crc.zip"), -ESTALE);
	cr_expect_str_eq(err.reason, "SOURCE_CHANGED");
}

Test(extract, a_private_copy_leaves_nothing_behind)
{
	_cleanup_free_ char *expected = trees_expected("plain.tar.gz"), *top = tree();
	_cleanup_free_ char *is = NULL;

	job.copy_first = true;
	cr_assert_eq(extract("plain.tar.gz"), 0, "%s", err.text);
	is = trees_describe(top);
	cr_expect_str_eq(is, expected);
	cr_expect(source.is_private);
}

Test(extract, a_file_becomes_a_tree_with_one_file)
{
	_cleanup_free_ char *path = text_format("%s/source.py", scratch), *text = NULL;

	trees_write(scratch, "source.py", "print()\n", 8, 0755);
	job.kind = EXTRACT_FILE;
	job.name = "tool.py";
	job.hash = true;
	cr_assert_eq(extract_path(path), 0, "%s", err.text);
	text = trees_read(directory, "tree/tool.py");
	cr_expect_str_eq(text, "print()\n");
	cr_expect_str_eq(job.format, "file");
	cr_expect_eq(job.bytes, 8);
	cr_expect_eq(tellings, 1);
	expect_manifest_tells_the_tree();
}

static void make_directory_source(void)
{
	_cleanup_free_ char *link = text_format("%s/source/pkg/link", scratch);

	trees_write(scratch, "source/pkg/__init__.py", "", 0, 0644);
	trees_write(scratch, "source/pkg/run", "#!/bin/sh\n", 10, 0755);
	cr_assert_eq(symlink("run", link), 0);
	job.kind = EXTRACT_DIRECTORY;
	job.name = "source";
}

Test(extract, a_directory_is_copied_with_all_below)
{
	_cleanup_free_ char *path = text_format("%s/source", scratch), *text = NULL;

	make_directory_source();
	cr_assert_eq(extract_path(path), 0, "%s", err.text);
	text = trees_read(directory, "tree/source/pkg/link");
	cr_expect_str_eq(text, "#!/bin/sh\n");
	cr_expect_eq(job.entries, 5);
	cr_expect_str_eq(job.format, "directory");
	expect_manifest_tells_the_tree();
}

Test(extract, a_directory_that_is_not_what_was_hashed_has_changed)
{
	_cleanup_free_ char *path = text_format("%s/source", scratch);
	uint8_t digest[SHA256_SIZE];

	make_directory_source();
	cr_assert_eq(source_open(&source, path, job.peer, NULL, true, &err), 0);
	cr_assert_eq(digest_directory(&source, job.peer, report, digest, &err), 0);
	source_close(&source);
	job.expected_sha256 = digest;
	cr_expect_eq(extract_path(path), 0, "%s", err.text);
	cr_expect_arr_eq(job.digest, digest, SHA256_SIZE);

	source_close(&source);
	tear_down();
	set_up();
	free(path);
	path = text_format("%s/source", scratch);
	make_directory_source();
	trees_write(scratch, "source/pkg/run", "#!/bin/zh\n", 10, 0755);
	job.expected_sha256 = digest;
	cr_expect_eq(extract_path(path), -ESTALE);
	cr_expect_str_eq(err.reason, "SOURCE_CHANGED");
}

Test(extract, a_fifo_in_a_directory_is_refused)
{
	_cleanup_free_ char *path = text_format("%s/source", scratch);
	_cleanup_free_ char *fifo = text_format("%s/source/pkg/fifo", scratch);

	make_directory_source();
	cr_assert_eq(mkfifo(fifo, 0600), 0);
	cr_expect_eq(extract_path(path), -EINVAL);
	cr_expect_str_eq(err.reason, "ENTRY_FORBIDDEN");
	cr_expect(strstr(err.text, "pkg/fifo"));
}

/* ---- who may enter */

static mode_t mode_of(const char *path)
{
	struct stat st;

	cr_assert_eq(stat(path, &st), 0);
	return st.st_mode & 07777;
}

Test(extract, everybody_may_enter_what_is_shared)
{
	_cleanup_free_ char *top = tree();

	cr_assert_eq(extract("plain.zip"), 0);
	cr_expect_eq(mode_of(directory), 0555);
	cr_expect_eq(mode_of(top), 0555);
}

Test(extract, only_its_owner_may_enter_what_is_his)
{
	job.access_all = false;
	job.access_uid = geteuid();
	cr_assert_eq(extract("plain.zip"), 0);
	cr_expect_eq(mode_of(directory), 0500);
	cr_expect_lt(getxattr(directory, "system.posix_acl_access", NULL, 0), 0);
}

Test(extract, an_access_list_lets_one_other_user_in)
{
	uint8_t acl[128];
	ssize_t n;

	job.access_all = false;
	job.access_uid = 4711;
	cr_assert_eq(extract("plain.zip"), 0, "%s", err.text);
	n = getxattr(directory, "system.posix_acl_access", acl, sizeof(acl));
	cr_assert_eq(n, 4 + 5 * 8);
	/* Version 2; the second entry is of a user (2), may read and enter (5). */
	cr_expect_eq(acl[0], 2);
	cr_expect_eq(acl[12], 2);
	cr_expect_eq(acl[14], 5);
	cr_expect_eq(acl[16] | acl[17] << 8, 4711);
	cr_expect_eq(mode_of(directory) & 0707, 0500);
}

Test(extract, the_layer_is_locked_as_long_as_its_descriptor_is_open)
{
	_cleanup_close_ int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	cr_assert_eq(extract("plain.zip"), 0);
	cr_expect_neq(flock(fd, LOCK_EX | LOCK_NB), 0);
	close(job.lock_fd);
	cr_expect_eq(flock(fd, LOCK_EX | LOCK_NB), 0);
}

Test(extract, the_manifest_begins_with_its_header)
{
	_cleanup_free_ char *text = NULL;

	cr_assert_eq(extract("plain.zip"), 0);
	text = trees_read(directory, "manifest");
	cr_expect(text_starts_with(text, "#mtree\n# pyenvd layer 1\n# id a\n. type=dir"), "%.80s",
		text);
	cr_expect(strstr(text,
		"./lib/name\\040with\\040spaces\\040\\043\\040\\075\\040\\134\\040"
		"and\\040\\303\\244 type=file mode=0444 time=1700000001.0 size=1 "));
}
