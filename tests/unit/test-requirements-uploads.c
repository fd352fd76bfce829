#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>
#include "daemon/worker/requirements-uploads.h"
#include "daemon/worker/requirements.h"
#include "tests/support/scratch.h"
#include "tests/support/trees.h"

static char *scratch;
static struct error err;
static struct requirements found;

static void set_up(void)
{
	scratch = scratch_make();
}

static void tear_down(void)
{
	requirements_deinit(&found);
	scratch_remove(scratch);
}

TestSuite(requirements_uploads, .init = set_up, .fini = tear_down);

static void write_text(const char *name, const char *text)
{
	trees_write(scratch, name, text, strlen(text), 0644);
}

static int read_requirements(
	const char *path, const char *packages, const struct requirements_uploads *uploads)
{
	static const struct identity nobody = { .uid = 65534, .gid = 65534 };
	struct identity peer = { .uid = geteuid(), .gid = getegid() };
	struct report_sink sink = { 0 };
	_cleanup_(report_freep) struct report *report = report_new(&sink);

	requirements_deinit(&found);
	found = (struct requirements){
		.path = path,
		.packages = packages,
		.peer = uploads ? &nobody : &peer,
		.uploads = uploads,
		.offline = packages || (uploads && uploads->has_packages),
		.threads = 2,
		.output_fd = -1,
	};
	return requirements_read(&found, report, &err);
}

static void read_paths(const char *packages, uint8_t ret[SHA256_SIZE])
{
	_cleanup_free_ char *path = text_format("%s/here/mine.txt", scratch);
	_cleanup_free_ char *directory = text_format("%s/%s", scratch, packages ?: "");

	cr_assert_eq(read_requirements(path, packages ? directory : NULL, NULL), 0, "%s", err.text);
	memcpy(ret, found.digest, SHA256_SIZE);
}

static int read_uploads(struct requirements_uploads uploads)
{
	int r;

	uploads.directory_fd = open(scratch, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	r = read_requirements(uploads.files[0].name, NULL, &uploads);
	close(uploads.directory_fd);
	return r;
}

static const struct requirements_upload files[] = {
	{ "mine.txt", "0" },
	{ "sub/base.txt", "1" },
	{ "../limits.txt", "2" },
};
static const struct requirements_upload packages[] = {
	{ "b-1-py3-none-any.whl", "4" },
	{ "a-1-py3-none-any.whl", "3" },
};

static void write_all(void)
{
	static const char *const texts[] = { "-r ./sub/base.txt\na\n", "-c ../../limits.txt\nb\n",
		"b<2\n", "package a", "package b" };
	static const char *const names[] = { "here/mine.txt", "here/sub/base.txt", "limits.txt",
		"wheels/a-1-py3-none-any.whl", "wheels/b-1-py3-none-any.whl" };
	char number[] = "0";
	size_t i;

	for (i = 0; i < ARRAY_SIZE(texts); i++) {
		write_text(names[i], texts[i]);
		number[0] = (char)('0' + i);
		write_text(number, texts[i]);
	}
}

Test(requirements_uploads, they_have_the_digest_of_the_same_files_at_paths)
{
	uint8_t digest[SHA256_SIZE];

	write_all();
	read_paths(NULL, digest);
	cr_expect_str_eq(found.files[1].name, "sub/base.txt");
	cr_expect_str_eq(found.files[2].name, "../limits.txt");
	cr_assert_eq(read_uploads((struct requirements_uploads){ .files = files, .file_count = 3 }),
		0, "%s", err.text);
	cr_expect_arr_eq(found.digest, digest, SHA256_SIZE);
	cr_expect_eq(found.file_count, 3);
	cr_expect_str_eq(found.files[2].name, "../limits.txt");

	read_paths("wheels", digest);
	cr_expect_eq(found.file_count, 6);
	cr_expect_eq(found.package_count, 2);
	cr_assert_eq(read_uploads((struct requirements_uploads){ .files = files,
			     .file_count = 3,
			     .has_packages = true,
			     .packages = packages,
			     .package_count = 2 }),
		0, "%s", err.text);
	cr_expect_arr_eq(found.digest, digest, SHA256_SIZE);
	cr_expect_eq(found.file_count, 5);
	cr_expect_eq(found.package_count, 2);
	cr_expect_str_eq(found.files[3].path, "a-1-py3-none-any.whl");
}

Test(requirements_uploads, none_are_other_than_no_packages)
{
	uint8_t none[SHA256_SIZE];
	struct requirements_uploads uploads = { .files = files, .file_count = 3 };

	write_all();
	cr_assert_eq(read_uploads(uploads), 0, "%s", err.text);
	memcpy(none, found.digest, SHA256_SIZE);
	uploads.has_packages = true;
	cr_assert_eq(read_uploads(uploads), 0, "%s", err.text);
	cr_expect_arr_neq(found.digest, none, SHA256_SIZE);
}

Test(requirements_uploads, one_that_is_missing_is_named)
{
	write_all();
	cr_expect_eq(read_uploads((struct requirements_uploads){ .files = files, .file_count = 2 }),
		-EINVAL);
	cr_expect_str_eq(err.reason, "REQUEST_INVALID");
	cr_expect(strstr(err.text, "sub/base.txt', line 1: it includes '../limits.txt', which"),
		"%s", err.text);
}

Test(requirements_uploads, a_circle_is_one_of_names_and_not_of_content)
{
	static const struct requirements_upload same[] = {
		{ "a.txt", "0" },
		{ "sub/a.txt", "0" },
		{ "sub/sub/a.txt", "1" },
	};

	write_text("0", "-r sub/a.txt\n");
	write_text("1", "a\n");
	cr_expect_eq(read_uploads((struct requirements_uploads){ .files = same, .file_count = 3 }),
		0, "%s", err.text);
	write_text("1", "-r ../../a.txt\n");
	cr_expect_eq(read_uploads((struct requirements_uploads){ .files = same, .file_count = 3 }),
		-EINVAL);
	cr_expect(strstr(err.text, "'a.txt' includes itself"), "%s", err.text);
}

Test(requirements_uploads, none_leads_out_of_its_directory)
{
	static const char *const outside[] = { "../secret", "/etc/passwd", "link" };
	size_t i;

	write_text("here/0", "a\n");
	cr_assert_eq(chdir(scratch), 0);
	cr_assert_eq(symlink("here/0", "link"), 0);
	for (i = 0; i < ARRAY_SIZE(outside); i++) {
		const struct requirements_upload upload = { "a.txt", outside[i] };

		cr_expect_lt(read_uploads((struct requirements_uploads){
				     .files = &upload, .file_count = 1 }),
			0);
		cr_expect(strstr(err.text, "cannot open 'a.txt'"), "%s", err.text);
	}
}
