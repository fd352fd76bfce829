#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include "daemon/worker/requirements.h"
#include "tests/support/scratch.h"
#include "tests/support/trees.h"

#define HASH "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

static char *scratch;
static struct identity peer;
static struct error err;
static int opened; /* how often it was said */

static void set_up(void)
{
	scratch = scratch_make();
	cr_assert_eq(chmod(scratch, 0755), 0);
	peer = (struct identity){ .uid = geteuid(), .gid = getegid() };
}

static void tear_down(void)
{
	scratch_remove(scratch);
}

TestSuite(requirements, .init = set_up, .fini = tear_down);

static void write_text(const char *name, const char *text)
{
	trees_write(scratch, name, text, strlen(text), 0644);
}

static void on_opened(void *data, const struct fs_identity *file)
{
	opened++;
}

struct wanted {
	const char *path, *packages,
		*copy; /* beneath the scratch directory; the last two may be NULL */
	bool offline;
};

/* Reads it; deinit even if it fails. The copy's directory is made. */
static int read_wanted(const struct wanted *wanted, struct requirements *ret)
{
	struct report_sink sink = { .opened = on_opened };
	_cleanup_(report_freep) struct report *report = report_new(&sink);
	_cleanup_free_ char *path = text_format("%s/%s", scratch, wanted->path);
	_cleanup_free_ char *packages = text_format("%s/%s", scratch, wanted->packages ?: "");
	_cleanup_free_ char *copy = text_format("%s/%s", scratch, wanted->copy ?: "");
	_cleanup_close_ int copy_fd = -1;
	int r;

	if (wanted->copy) {
		cr_assert_eq(mkdir(copy, 0700), 0);
		copy_fd = open(copy, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		cr_assert_geq(copy_fd, 0);
	}
	opened = 0;
	*ret = (struct requirements){
		.path = path,
		.packages = wanted->packages ? packages : NULL,
		.peer = &peer,
		.offline = wanted->offline,
		.threads = 3,
		.output_fd = copy_fd,
	};
	r = requirements_read(ret, report, &err);
	cr_expect_eq(opened, r == 0);
	ret->path = ret->packages = NULL;
	return r;
}

static void expect_digest(const struct wanted *wanted, uint8_t ret[SHA256_SIZE])
{
	_cleanup_(requirements_deinit) struct requirements found;

	cr_assert_eq(read_wanted(wanted, &found), 0, "%s", err.text);
	memcpy(ret, found.digest, SHA256_SIZE);
}

static void expect_failure(
	const struct wanted *wanted, int r, const char *reason, const char *words)
{
	_cleanup_(requirements_deinit) struct requirements found;

	cr_expect_eq(read_wanted(wanted, &found), r, "%s", err.text);
	cr_expect_str_eq(err.reason, reason, "%s", err.text);
	cr_expect(strstr(err.text, words), "%s", err.text);
	cr_expect_not(strstr(err.text, "secret"), "%s", err.text);
}

static void expect_text(const char *name, const char *text)
{
	_cleanup_free_ char *found = trees_read(scratch, name);

	cr_assert(found, "%s is not there", name);
	cr_expect_str_eq(found, text, "%s: %s", name, found);
}

static mode_t mode_of(const char *name)
{
	_cleanup_free_ char *path = text_format("%s/%s", scratch, name);
	struct stat st = { 0 };

	cr_assert_eq(stat(path, &st), 0, "%s", path);
	return st.st_mode & 07777;
}

/* ---- what is shown */

static void expect_specifiers(const char *path, const char *lines)
{
	_cleanup_(requirements_deinit) struct requirements found;
	_cleanup_free_ char *specifiers = NULL;

	cr_assert_eq(read_wanted(&(struct wanted){ .path = path }, &found), 0, "%s", err.text);
	specifiers = buffer_steal_text(&found.specifiers);
	cr_expect_str_eq(specifiers, lines, "%s", specifiers);
}

Test(requirements, what_is_required_is_shown_unless_it_is_too_much)
{
	_cleanup_buffer_ struct buffer many = { 0 };
	_cleanup_free_ char *text = NULL;
	int i;

	write_text("c.txt", "c<3\n");
	write_text("more.txt", "b ; python_version < '3.9'\n--pre\n");
	write_text("r.txt",
		"-i https://ann:secret@h/\na==1 --hash=" HASH "\n-r more.txt\n-c c.txt\n"
		"https://ann:secret@h/d.zip\n");
	expect_specifiers("r.txt", "a==1\nb ; python_version < '3.9'\n");
	for (i = 0; i < 4096; i++)
		buffer_format(&many, "package-%d==1.0\n", i);
	text = buffer_steal_text(&many);
	write_text("many.txt", text);
	expect_specifiers("many.txt", "");
}

/* ---- the digest */

static void digest_text(const char *text, bool offline, uint8_t ret[SHA256_SIZE])
{
	write_text("requirements.txt", text);
	expect_digest(&(struct wanted){ .path = "requirements.txt", .offline = offline }, ret);
}

Test(requirements, equal_content_has_an_equal_digest)
{
	static const struct {
		const char *one, *other;
	} cases[] = {
		{ "a==1\nb\n", "# hello\n\n  a==1  # why\r\nb" },
		{ "a==1 --hash=" HASH "\n", "a==1 \\\n    --hash " HASH },
		{ "-i https://host/simple", "--index-url='https://user:secret@host/simple'" },
		{ "a @ git+https://host/a@v1", "a @ git+https://token@host/a@v1" },
		{ "--pre --no-index\n", "--pre\n--no-index\n" },
		{ "", "\n# nothing\n" },
	};
	uint8_t one[SHA256_SIZE], other[SHA256_SIZE];
	size_t i;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		digest_text(cases[i].one, false, one);
		digest_text(cases[i].other, false, other);
		cr_expect_arr_eq(one, other, SHA256_SIZE, "%s", cases[i].one);
	}
	digest_text("a\n", true, one);
	digest_text("-i https://host\n--extra-index-url https://host\na\n--trusted-host b", true,
		other);
	cr_expect_arr_eq(one, other, SHA256_SIZE);
}

Test(requirements, other_content_has_another_digest)
{
	static const struct {
		const char *one, *other;
	} cases[] = {
		{ "a==1", "a==2" },
		{ "a\nb\n", "b\na\n" },
		{ "a\n", "a\na\n" },
		{ "a", "A" },
		{ "a==1", "a==1 --hash=" HASH },
		{ "a", "a\n--pre" },
		{ "-i https://host/a", "-i https://host/b" },
		{ "-i https://host", "--extra-index-url https://host" },
		{ "a; b == ' '", "a; b == '  '" },
		{ "-r 1.txt\n-r 2.txt\n", "-r 2.txt\n-r 1.txt\n" },
		{ "-r 1.txt\n", "-c 1.txt\n" },
		{ "-r 1.txt\n", "one\n" },
	};
	uint8_t one[SHA256_SIZE], other[SHA256_SIZE];
	size_t i;

	write_text("1.txt", "one\n");
	write_text("2.txt", "two\n");
	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		digest_text(cases[i].one, false, one);
		digest_text(cases[i].other, false, other);
		cr_expect_arr_neq(one, other, SHA256_SIZE, "%s", cases[i].one);
	}
}

Test(requirements, what_is_included_counts_and_not_its_name)
{
	uint8_t first[SHA256_SIZE], other[SHA256_SIZE];

	write_text("requirements.txt", "-r sub/base.txt\na\n");
	write_text("sub/base.txt", "-c ../limits.txt\nb\n");
	write_text("limits.txt", "b<2\n");
	expect_digest(&(struct wanted){ .path = "requirements.txt" }, first);

	write_text("moved/all.txt", "-r one.txt\na\n");
	write_text("moved/one.txt", "-c two.txt\nb\n");
	write_text("moved/two.txt", "# no more\nb<2");
	expect_digest(&(struct wanted){ .path = "moved/all.txt" }, other);
	cr_expect_arr_eq(first, other, SHA256_SIZE);

	write_text("limits.txt", "b<3\n");
	expect_digest(&(struct wanted){ .path = "requirements.txt" }, other);
	cr_expect_arr_neq(first, other, SHA256_SIZE);
}

Test(requirements, the_copy_has_the_digest_of_the_original)
{
	uint8_t first[SHA256_SIZE], other[SHA256_SIZE];

	write_text("requirements.txt",
		"-i https://u:p@host\n-r base.txt\n# x\na @ https://v@host/a.whl\n-c limits.txt\n");
	write_text("base.txt", "  b # y\n");
	write_text("limits.txt", "b \\\n<2\n");
	expect_digest(&(struct wanted){ .path = "requirements.txt", .copy = "copy" }, first);
	expect_digest(&(struct wanted){ .path = "copy/requirements.txt" }, other);
	cr_expect_arr_eq(first, other, SHA256_SIZE);
}

/* ---- the copy */

Test(requirements, the_copy_is_what_an_installer_needs)
{
	struct wanted wanted = { .path = "sub/mine.txt", .copy = "copy" };
	_cleanup_(requirements_deinit) struct requirements found;
	_cleanup_free_ char *absolute = text_format("b\n-r %s/far/third.txt\n", scratch);

	write_text("sub/mine.txt",
		"-i https://user:pw@host/simple # index\n-r ../base.txt\n-c limits.txt\n"
		"a==1 \\\n --hash=" HASH "\n-r ../base.txt\n-c ../base.txt\n");
	write_text("base.txt", absolute);
	write_text("far/third.txt", "c @ git+https://token@host/c.git\n");
	write_text("sub/limits.txt", "b<2\n");
	/* It may not name files that are installed. */
	cr_expect_eq(read_wanted(&wanted, &found), -EINVAL);
	cr_expect(strstr(err.text, "/sub/../base.txt', line 2: '--requirement' in a file of"), "%s",
		err.text);
	write_text("sub/mine.txt",
		"-i https://user:pw@host/simple # index\n-r ../base.txt\n-c limits.txt\n"
		"a==1 \\\n --hash=" HASH "\n-r ../base.txt\n-c ../far/third.txt\n");
	requirements_deinit(&found);
	wanted.copy = "copy2";
	cr_assert_eq(read_wanted(&wanted, &found), 0, "%s", err.text);

	expect_text("copy2/requirements.txt",
		"--index-url=https://user:pw@host/simple\n-r requirements-1.txt\n"
		"-c constraints-3.txt\na==1 --hash=" HASH
		"\n-r requirements-1.txt\n-c constraints-4.txt\n");
	expect_text("copy2/requirements-1.txt", "b\n-r requirements-2.txt\n");
	expect_text("copy2/requirements-2.txt", "c @ git+https://token@host/c.git\n");
	expect_text("copy2/constraints-3.txt", "b<2\n");
	expect_text("copy2/constraints-4.txt", "c @ git+https://token@host/c.git\n");
	cr_expect_eq(mode_of("copy2/requirements.txt"), 0600);
	cr_expect_eq(mode_of("copy2/constraints-3.txt"), 0600);
	cr_expect_not(trees_exists(scratch, "copy2/packages"));
	cr_expect_not(trees_exists(scratch, "copy/requirements.txt"));
	cr_expect_eq(found.count, 3);
	cr_expect_eq(found.file_count, 5);
}

Test(requirements, the_copy_is_not_written_through_what_lies_there)
{
	_cleanup_(report_freep) struct report *report = report_new(&(struct report_sink){ 0 });
	_cleanup_free_ char *path = text_format("%s/requirements.txt", scratch);
	_cleanup_free_ char *copy = text_format("%s/copy", scratch);
	_cleanup_free_ char *link = text_format("%s/copy/requirements.txt", scratch);
	_cleanup_(requirements_deinit) struct requirements found = { .path = path, .peer = &peer };

	write_text("requirements.txt", "a\n");
	write_text("victim", "untouched");
	cr_assert_eq(mkdir(copy, 0700), 0);
	cr_assert_eq(symlink("../victim", link), 0);
	found.output_fd = open(copy, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	cr_expect_eq(requirements_read(&found, report, &err), -EEXIST, "%s", err.text);
	close(found.output_fd);
	expect_text("victim", "untouched");
}

/* What pip reads from the copy is what it reads from the original. */
Test(requirements, pip_reads_the_same_from_the_copy)
{
	struct wanted wanted = { .path = "requirements.txt", .copy = "copy" };
	_cleanup_(requirements_deinit) struct requirements found;
	_cleanup_free_ char *original = text_format("%s/requirements.txt", scratch);
	_cleanup_free_ char *copy = text_format("%s/copy/requirements.txt", scratch);
	int status;
	pid_t pid;

	/* Without settings, which older ones do not take in a file. */
	write_text("requirements.txt",
		"\xef\xbb\xbf# -*- coding: utf-8 -*-\n"
		"--extra-index-url https://u:p@forgotten/simple\n"
		"--extra-index-url 'https://more/simple' -i https://u:p@host/simple --pre\n"
		"--trusted-host host:80\n"
		"-f https://host/links.html\n"
		"--no-binary=a,b --only-binary \":all:\"\n"
		"--prefer-binary --require-hashes --use-feature=fast-deps\n"
		"plain\n"
		"a == 1.0,!=2.0 ; python_version > '3' and os_name == \"a#b\"\n"
		"b [x , y]>=1 # comment\n"
		"c==1 \\\r\n\t --hash=" HASH " --hash=\"" HASH "\" \\\n# ends it \\\n"
		"d===1!2.*+x --global-option=\"--quiet\" --global-option -v\n"
		"e @ https://u:p@host/e-1.zip#egg=e ; extra == 'x'\n"
		"https://host/f-1.0-py3-none-any.whl ; os_name == 'nt'\n"
		"git+https://u@host/g.git@v1#egg=g&subdirectory=s\n"
		"h\\\n==1\n"
		"-rsub/more.txt\n"
		"--constraint=sub/limits.txt\n"
		"last \\");
	write_text("sub/more.txt", "i (>=1)\r-r 'with space.txt'\n-c ./limits.txt\nj\n");
	write_text("sub/with space.txt", "k~=1.4\n");
	write_text("sub/limits.txt", "a<2\nlast<=3\n--pre\n");
	cr_assert_eq(read_wanted(&wanted, &found), 0, "%s", err.text);
	pid = fork();
	if (pid == 0) {
		execlp("python3", "python3", getenv("PIP_READS"), original, copy, NULL);
		_exit(127);
	}
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	cr_expect_eq(status, 0);
}

/* ---- what is told of it */

Test(requirements, it_is_told_what_was_read_and_how_it_is_pinned)
{
	static const struct {
		const char *text;
		size_t count;
		bool is_pinned, needs_pip;
	} cases[] = {
		{ "", 0, true, false },
		{ "a==1\nb===2\n", 2, true, false },
		{ "a==1\nb\n", 2, false, false },
		{ "a==1\n-c loose.txt\n", 1, true, false },
		{ "a==1\n-r loose.txt\n", 2, false, false },
		{ "--pre\na==1", 1, true, true },
		{ "-i https://a\na==1", 1, true, false },
		{ "-i https://a\n-i https://b\n", 0, true, true },
		{ "-i https://a -i https://b\n", 0, true, true },
		{ "-i https://a\n-r index.txt\n", 0, true, true },
		{ "-c index.txt\n", 0, true, true },
		{ "-c hashes.txt\n", 0, true, true },
	};
	size_t i;

	write_text("loose.txt", "b>2\n");
	write_text("index.txt", "--index-url https://b\n");
	write_text("hashes.txt", "a==1 --hash=" HASH "\n");
	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_(requirements_deinit) struct requirements found;

		write_text("requirements.txt", cases[i].text);
		cr_assert_eq(read_wanted(&(struct wanted){ .path = "requirements.txt" }, &found), 0,
			"%s", err.text);
		cr_expect_eq(found.count, cases[i].count, "%s", cases[i].text);
		cr_expect_eq(found.is_pinned, cases[i].is_pinned, "%s", cases[i].text);
		cr_expect_eq(found.needs_pip, cases[i].needs_pip, "%s", cases[i].text);
	}
}

static void expect_file(const struct requirements *found, size_t index, const char *name)
{
	_cleanup_free_ char *path = text_format("%s/%s", scratch, name);
	struct fs_identity now;
	enum fs_type type;

	cr_assert_lt(index, found->file_count);
	cr_expect_str_eq(found->files[index].path, path);
	cr_assert_eq(fs_identify(AT_FDCWD, path, &now, &type), 0);
	cr_expect(fs_identity_equal(&now, &found->files[index].identity), "%s", name);
}

Test(requirements, all_that_was_read_is_listed)
{
	struct wanted wanted = { .path = "requirements.txt", .packages = "wheels" };
	_cleanup_(requirements_deinit) struct requirements found;

	write_text("requirements.txt", "-r sub/a.txt\n-c sub/b.txt\n-r sub/a.txt\n");
	write_text("sub/a.txt", "a\n");
	write_text("sub/b.txt", "-c c.txt\n");
	write_text("sub/c.txt", "");
	write_text("wheels/b.whl", "b");
	write_text("wheels/a.tar.gz", "a");
	write_text("wheels/notes.txt", "c");
	cr_assert_eq(read_wanted(&wanted, &found), 0, "%s", err.text);
	cr_expect_eq(found.file_count, 7);
	expect_file(&found, 0, "requirements.txt");
	expect_file(&found, 1, "sub/a.txt");
	expect_file(&found, 2, "sub/b.txt");
	expect_file(&found, 3, "sub/c.txt");
	expect_file(&found, 4, "wheels");
	expect_file(&found, 5, "wheels/a.tar.gz");
	expect_file(&found, 6, "wheels/b.whl");
}

/* ---- packages */

Test(requirements, packages_count_by_name_and_content)
{
	struct wanted wanted = { .path = "requirements.txt" };
	_cleanup_free_ char *empty = text_format("%s/none", scratch);
	_cleanup_free_ char *link = text_format("%s/other/b-1.zip", scratch);
	_cleanup_free_ char *plain = text_format("%s/other/a-1.whl", scratch);
	_cleanup_free_ char *renamed = text_format("%s/other/a-2.whl", scratch);
	uint8_t without[SHA256_SIZE], none[SHA256_SIZE], first[SHA256_SIZE], other[SHA256_SIZE];

	write_text("requirements.txt", "a\n");
	cr_assert_eq(mkdir(empty, 0755), 0);
	write_text("wheels/a-1.whl", "wheel");
	write_text("wheels/b-1.zip", "source");
	write_text("wheels/notes.txt", "one");
	write_text("wheels/deep/c-1.whl", "not at the top");
	expect_digest(&wanted, without);
	wanted.packages = "none";
	expect_digest(&wanted, none);
	wanted.packages = "wheels";
	expect_digest(&wanted, first);
	cr_expect_arr_neq(without, none, SHA256_SIZE);
	cr_expect_arr_neq(none, first, SHA256_SIZE);

	/* Links are followed; what is no package says nothing. */
	write_text("other/a-1.whl", "wheel");
	write_text("elsewhere", "source");
	write_text("other/notes.txt", "two");
	cr_assert_eq(symlink("../elsewhere", link), 0);
	wanted.packages = "other";
	expect_digest(&wanted, other);
	cr_expect_arr_eq(first, other, SHA256_SIZE);
	cr_assert_eq(rename(plain, renamed), 0);
	expect_digest(&wanted, other);
	cr_expect_arr_neq(first, other, SHA256_SIZE);
	cr_assert_eq(rename(renamed, plain), 0);
	write_text("elsewhere", "sauce!");
	expect_digest(&wanted, other);
	cr_expect_arr_neq(first, other, SHA256_SIZE);
}

Test(requirements, packages_are_copied)
{
	struct wanted wanted = {
		.path = "requirements.txt",
		.packages = "wheels",
		.offline = true,
	};
	uint8_t first[SHA256_SIZE], copied[SHA256_SIZE];
	_cleanup_free_ char *big = alloc0(1, 3000001);
	_cleanup_free_ char *link = text_format("%s/wheels/b-1.tgz", scratch);
	_cleanup_free_ char *found = NULL;
	size_t i;

	for (i = 0; i < 3000000; i++)
		big[i] = (char)('a' + i * i % 23);
	write_text("requirements.txt", "-i https://host\na\n");
	write_text("elsewhere", "source");
	trees_write(scratch, "wheels/a-1.whl", big, 3000000, 0400);
	trees_write(scratch, "wheels/c-1.whl", "", 0, 0777);
	write_text("wheels/notes.txt", "one");
	cr_assert_eq(symlink("../elsewhere", link), 0);
	expect_digest(&wanted, first);
	wanted.copy = "copy";
	expect_digest(&wanted, copied);
	cr_expect_arr_eq(first, copied, SHA256_SIZE);
	expect_text("copy/requirements.txt", "a\n");
	expect_text("copy/packages/b-1.tgz", "source");
	expect_text("copy/packages/c-1.whl", "");
	cr_expect_not(trees_exists(scratch, "copy/packages/notes.txt"));
	found = trees_read(scratch, "copy/packages/a-1.whl");
	cr_assert(found);
	cr_expect_str_eq(found, big);
	cr_expect_eq(mode_of("copy/packages"), 0700);
	cr_expect_eq(mode_of("copy/packages/a-1.whl"), 0600);
	cr_expect_eq(mode_of("copy/packages/c-1.whl"), 0600);
	cr_expect_eq(mode_of("copy/requirements.txt"), 0600);
}

Test(requirements, what_is_named_like_a_package_must_be_a_file)
{
	struct wanted wanted = { .path = "requirements.txt", .packages = "wheels" };
	_cleanup_free_ char *fifo = text_format("%s/wheels/a.whl", scratch);

	write_text("requirements.txt", "a\n");
	expect_failure(&wanted, -ENOENT, "SOURCE_NOT_FOUND", "/wheels' is not there");
	write_text("wheels/ignored", "");
	cr_assert_eq(mkfifo(fifo, 0644), 0);
	expect_failure(&wanted, -EINVAL, "SOURCE_NOT_A_FILE", "/wheels/a.whl' is a fifo");
	cr_assert_eq(unlink(fifo), 0);
	cr_assert_eq(symlink("/dev/null", fifo), 0);
	expect_failure(&wanted, -EINVAL, "SOURCE_NOT_A_FILE", "/wheels/a.whl' is a device");
	cr_assert_eq(unlink(fifo), 0);
	cr_assert_eq(mkdir(fifo, 0755), 0);
	expect_failure(&wanted, -EINVAL, "SOURCE_NOT_A_FILE", "/wheels/a.whl' is a directory");
	cr_assert_eq(rmdir(fifo), 0);
	cr_assert_eq(symlink("gone", fifo), 0);
	expect_failure(&wanted, -ENOENT, "SOURCE_NOT_FOUND", "/wheels/a.whl' is not there");
	cr_assert_eq(unlink(fifo), 0);
	write_text("wheels/\xff.whl", "");
	expect_failure(&wanted, -EINVAL, "REQUIREMENTS_INVALID",
		"/wheels/?.whl' has a name that is not UTF-8");
	wanted.packages = "requirements.txt";
	expect_failure(&wanted, -EINVAL, "SOURCE_NOT_A_FILE", "not a directory of packages");
}

Test(requirements, a_copy_leaves_the_reserve_free)
{
	_cleanup_(report_freep) struct report *report = report_new(&(struct report_sink){ 0 });
	_cleanup_free_ char *path = text_format("%s/requirements.txt", scratch);
	_cleanup_free_ char *packages = text_format("%s/wheels", scratch);
	_cleanup_free_ char *copy = text_format("%s/copy", scratch);
	_cleanup_(requirements_deinit) struct requirements found = {
		.path = path,
		.packages = packages,
		.peer = &peer,
		.reserve_bytes = UINT64_C(1) << 60,
	};
	int r;

	write_text("requirements.txt", "a\n");
	write_text("wheels/a.whl", "wheel");
	cr_assert_eq(mkdir(copy, 0700), 0);
	found.output_fd = open(copy, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	r = requirements_read(&found, report, &err);
	close(found.output_fd);
	/* Where the file system can share, nothing is copied. */
	if (r == 0)
		cr_skip("this file system clones");
	cr_expect_eq(r, -ENOSPC);
	cr_expect_str_eq(err.reason, "NO_SPACE");
}

/* ---- what is refused */

Test(requirements, a_message_names_the_file_and_the_line)
{
	struct wanted wanted = { .path = "requirements.txt" };

	write_text("requirements.txt", "a\n\nb \\\n  @ ./secret\n");
	expect_failure(&wanted, -EINVAL, "REQUIREMENTS_INVALID",
		"/requirements.txt', line 3: 'b' names a local path");
	write_text("requirements.txt", "-r sub/a.txt\n");
	expect_failure(&wanted, -ENOENT, "SOURCE_NOT_FOUND", "/requirements.txt', line 1: '");
	write_text("sub/a.txt", "\n-e secret\n");
	expect_failure(
		&wanted, -EINVAL, "REQUIREMENTS_INVALID", "/sub/a.txt', line 2: '--editable'");
	cr_expect_not(strstr(err.text, "/requirements.txt"), "%s", err.text);
	write_text("requirements.txt", "a @ https://secret@host/a.whl\n");
	wanted.offline = true;
	expect_failure(
		&wanted, -EINVAL, "REQUIREMENTS_INVALID", "line 1: a requirement that is a URL");
	wanted.path = "none.txt";
	expect_failure(&wanted, -ENOENT, "SOURCE_NOT_FOUND", "/none.txt' is not there");
	wanted.path = "sub";
	expect_failure(&wanted, -EINVAL, "SOURCE_NOT_A_FILE", "/sub' is a directory");
}

Test(requirements, circles_are_refused)
{
	struct wanted wanted = { .path = "requirements.txt" };
	_cleanup_free_ char *link = text_format("%s/sub/link.txt", scratch);

	write_text("requirements.txt", "a\n-r requirements.txt\n");
	expect_failure(&wanted, -EINVAL, "REQUIREMENTS_INVALID", "/requirements.txt', line 2: '");
	cr_expect(strstr(err.text, "/requirements.txt' includes itself"), "%s", err.text);
	write_text("requirements.txt", "-c ./requirements.txt\n");
	expect_failure(&wanted, -EINVAL, "REQUIREMENTS_INVALID", "includes itself");
	write_text("requirements.txt", "-r sub/b.txt\n");
	write_text("sub/b.txt", "-r link.txt\n");
	cr_assert_eq(symlink("../requirements.txt", link), 0);
	expect_failure(&wanted, -EINVAL, "REQUIREMENTS_INVALID", "/sub/b.txt', line 1: '");
	cr_expect(strstr(err.text, "/sub/link.txt' includes itself"), "%s", err.text);
	/* Twice is no circle. */
	write_text("requirements.txt", "-r sub/a.txt\n-r sub/a.txt\n-r sub/../sub/a.txt\n");
	write_text("sub/a.txt", "a\n");
	expect_digest(&wanted, (uint8_t[SHA256_SIZE]){ 0 });
}

Test(requirements, there_are_limits)
{
	struct wanted wanted = { .path = "requirements.txt" };
	_cleanup_free_ char *big = alloc0(1, (1 << 20) + 2);
	_cleanup_buffer_ struct buffer all = { 0 };
	uint8_t digest[SHA256_SIZE];
	int i;

	memset(big, '\n', 1 << 20);
	write_text("requirements.txt", big);
	expect_digest(&wanted, digest);
	big[1 << 20] = '#';
	write_text("requirements.txt", big);
	expect_failure(&wanted, -EFBIG, "LIMIT_EXCEEDED", "more than 1048576 bytes");

	/* As deep as there may be files, and one more. */
	for (i = 0; i < 64; i++) {
		_cleanup_free_ char *name = text_format("%d.txt", i);
		_cleanup_free_ char *text = text_format(i < 63 ? "-r %d.txt\n" : "a\n", i + 1);

		write_text(name, text);
	}
	wanted.path = "0.txt";
	expect_digest(&wanted, digest);
	wanted.path = "requirements.txt";
	write_text("requirements.txt", "-r 0.txt\n");
	expect_failure(&wanted, -EFBIG, "LIMIT_EXCEEDED", "/63.txt' is one more than the 64");

	big[(1 << 20) - 1] = 0;
	for (i = 0; i < 17; i++) {
		_cleanup_free_ char *name = text_format("%d.txt", i);

		write_text(name, big);
		buffer_format(&all, "-r %s\n", name);
	}
	trees_write(scratch, "requirements.txt", all.data, all.size, 0644);
	expect_failure(&wanted, -EFBIG, "LIMIT_EXCEEDED", "together have more than 16777216 bytes");
}

Test(requirements, all_is_opened_as_the_peer)
{
	struct wanted wanted = { .path = "requirements.txt" };
	_cleanup_free_ char *directory = text_format("%s/wheels", scratch);

	if (geteuid() != 0)
		cr_skip("only root can act as others");
	peer = (struct identity){ .uid = 4711, .gid = 4711 };
	write_text("requirements.txt", "-r sub.txt\n");
	trees_write(scratch, "sub.txt", "a\n", 2, 0600);
	expect_failure(&wanted, -EACCES, "SOURCE_UNREADABLE", "/sub.txt' may not be read by you");
	write_text("requirements.txt", "a\n");
	trees_write(scratch, "wheels/a.whl", "a", 1, 0600);
	wanted.packages = "wheels";
	expect_failure(&wanted, -EACCES, "SOURCE_UNREADABLE", "/wheels/a.whl' may not be read");
	cr_assert_eq(chmod(directory, 0711), 0);
	expect_failure(&wanted, -EACCES, "SOURCE_UNREADABLE", "/wheels' may not be read by you");
	/* And we are ourselves again. */
	cr_expect(trees_exists(scratch, "wheels/a.whl"));
}
