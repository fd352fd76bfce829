#include <criterion/criterion.h>
#include <fcntl.h>
#include <sys/stat.h>
#include "base/buffer.h"
#include "daemon/worker/conda.h"
#include "daemon/worker/prefix.h"
#include "tests/support/extracted.h"
#include "tests/support/trees.h"

#define TEN "0123456789"
/* Longer than where a test's layer is. */
#define LONG "/" TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN

static struct extracted layer;
static struct conda job;
static struct error err;

/* ---- replacing */

static int collect(void *data, const void *bytes, size_t size, struct error *failed)
{
	buffer_append(data, bytes, size);
	return 0;
}

Test(prefix, it_is_replaced_in_text_and_in_strings)
{
#define CASE(binary, from, to, text, expected)                                                     \
	{                                                                                          \
		{ from, to, binary }, text, sizeof(text) - 1, expected, sizeof(expected) - 1       \
	}
	static const struct {
		struct prefix prefix;
		const char *text;
		size_t size;
		const char *expected;
		size_t expected_size;
	} cases[] = {
		CASE(false, "/old", "/n", "", ""),
		CASE(false, "/old", "/n", "x/ol/y", "x/ol/y"),
		CASE(false, "/old", "/new/er", "/old/a:/old\n/old", "/new/er/a:/new/er\n/new/er"),
		CASE(false, "/old", "/n", "\0/old\0", "\0/n\0"),
		CASE(false, "aa", "b", "aaaaa", "bba"),
		CASE(true, "/old", "/n", "", ""),
		CASE(true, "/old", "/n", "a\0/old/x\0b", "a\0/n/x\0\0\0b"),
		CASE(true, "/old", "/n", "=/old:/old/y\0b\0/old\0",
			"=/n:/n/y\0\0\0\0\0b\0/n\0\0\0"),
		CASE(true, "/old", "/new", "/old/x\0b", "/new/x\0b"),
		/* What ends with the file is no string. */
		CASE(true, "/old", "/n", "/old\0/old", "/n\0\0\0/old"),
		CASE(true, "/old", "/n", "/old", "/old"),
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_buffer_ struct buffer is = { 0 };

		buffer_append(&is, "", 0);
		cr_assert_eq(prefix_replace(&cases[i].prefix, cases[i].text, cases[i].size, collect,
				     &is, &err),
			0);
		cr_assert_eq(is.size, cases[i].expected_size, "%zu", i);
		cr_expect(is.size == 0 || !memcmp(is.data, cases[i].expected, is.size), "%zu", i);
	}
}

Test(prefix, a_binary_has_no_room_for_a_longer_one)
{
	cr_expect(prefix_fits(&(struct prefix){ "/old", "/new", true }));
	cr_expect_not(prefix_fits(&(struct prefix){ "/old", "/newer", true }));
	cr_expect(prefix_fits(&(struct prefix){ "/old", "/newer", false }));
}

/* ---- environments */

static void set_up_with(const struct place_limits *limits)
{
	extracted_init(&layer, limits);
	job = (struct conda){
		.place = layer.place, .directory = layer.directory, .tree_fd = layer.tree_fd
	};
}

static void set_up(void)
{
	set_up_with(&(struct place_limits){ 0 });
}

static void tear_down(void)
{
	extracted_deinit(&layer);
}

static void add_text(const char *name, const char *text)
{
	extracted_add_file(&layer, name, text, strlen(text), true);
}

static void add_link(const char *name, enum place_type type, const char *target)
{
	extracted_add_link(&layer, name, type, target);
}

/* @records as they stand in the program, without the last line's end. */
static void add_environment(const char *root, const char *records)
{
	_cleanup_free_ char *program = text_format("%sbin/conda-unpack", root);
	_cleanup_free_ char *meta = text_format("%sconda-meta/history", root);
	_cleanup_free_ char *text = text_format("#!/usr/bin/env python\n\n_prefix_records = [\n"
						"%s\n]\n\nif __name__ == '__main__':\n",
		records);

	add_text(program, text);
	add_text(meta, "");
}

static void finish(void)
{
	extracted_finish(&layer);
	cr_assert_eq(conda_finish(&job, &err), 0, "%s", err.text);
}

static void expect_text(const char *name, const char *text)
{
	_cleanup_free_ char *is = trees_read(layer.tree, name);

	cr_expect_str_eq(is, text, "%s", name);
}

TestSuite(conda, .init = set_up, .fini = tear_down);

Test(conda, each_environment_gets_its_own_path)
{
	_cleanup_free_ char *a = text_format("prefix = %s/env/etc\n", layer.tree);
	_cleanup_free_ char *b = text_format("%s:%s", layer.tree, layer.tree);

	add_environment("env/", "('etc/a b', '/build/env', 'text'),\n(\"it's\", '/b', 'text')");
	add_text("env/etc/a b", "prefix = /build/env/etc\n");
	add_text("env/it's", "/other");
	add_environment("", "('c\\\\d\\'', '/build', 'text')");
	add_text("c\\d'", "/build:/build");
	add_text("other", "/build");
	finish();
	expect_text("env/etc/a b", a);
	expect_text("env/it's", "/other");
	expect_text("c\\d'", b);
	expect_text("other", "/build");
	cr_expect_eq(job.rewritten, 2);
	cr_expect_str_eq(job.note, "");
}

Test(conda, a_binary_keeps_its_size_and_everything_its_mode)
{
	_cleanup_free_ char *lib = text_format("%s/lib.so", layer.tree);
	_cleanup_free_ char *expected = text_format("%s/lib", layer.tree), *records;
	_cleanup_buffer_ struct buffer is = { 0 };
	static const char data[] = "ELF\0" LONG "/lib\0end";
	struct stat st;

	extracted_add_file(&layer, "lib.so", data, sizeof(data), true);
	records = text_format("('lib.so', '%s', 'binary')", LONG);
	add_environment("", records);
	finish();
	cr_assert_eq(fs_read_file(AT_FDCWD, lib, 4096, &is), 0);
	cr_assert_eq(is.size, sizeof(data));
	cr_expect_str_eq((char *)is.data + 4, expected);
	cr_expect_arr_eq(is.data + is.size - 4, "end", 4);
	cr_assert_eq(stat(lib, &st), 0);
	cr_expect_eq(st.st_mtime, EXTRACTED_MTIME);
	cr_expect_eq(st.st_mode & 07777, 0555);
}

Test(conda, bytecode_of_what_changed_is_stale)
{
	_cleanup_free_ char *a = text_format("%s/a.py", layer.tree),
			    *b = text_format("%s/b.py", layer.tree);
	struct stat st;

	add_environment("", "('a.py', '/build', 'text'),\n('b.py', '/build', 'text')");
	add_text("a.py", "prefix = '/build'\n");
	add_text("b.py", "prefix = '/other'\n");
	finish();
	cr_assert_eq(stat(a, &st), 0);
	cr_expect_neq(st.st_mtime, EXTRACTED_MTIME);
	cr_assert_eq(stat(b, &st), 0);
	cr_expect_eq(st.st_mtime, EXTRACTED_MTIME);
}

Test(conda, nothing_outside_of_the_environment_is_reached)
{
	static const char text[] = "/build\n";
	_cleanup_free_ char *outside = text_format("%s/outside", layer.scratch), *is = NULL;
	_cleanup_free_ char *records = text_format("('../other', '/build', 'text'),\n"
						   "('../../../outside', '/build', 'text'),\n"
						   "('%s', '/build', 'text'),\n"
						   "('link', '/build', 'text'),\n"
						   "('hard', '/build', 'text'),\n"
						   "('', '/build', 'text'),\n"
						   "('conda-meta', '/build', 'text'),\n"
						   "('missing', '/build', 'text')",
		outside);

	trees_write(layer.scratch, "outside", text, strlen(text), 0666);
	add_environment("env/", records);
	add_text("other", text);
	add_link("env/link", PLACE_SYMLINK, outside);
	add_link("env/hard", PLACE_HARDLINK, "env/link");
	finish();
	is = trees_read(layer.scratch, "outside");
	cr_expect_str_eq(is, text);
	expect_text("other", text);
	cr_expect_eq(job.rewritten, 0);
	cr_expect_str_eq(job.note, "");
}

Test(conda, a_file_named_twice_is_changed_once)
{
	/* What it becomes has the old one in it. */
	add_environment("", "('a', '/tree', 'text'),\n('a', '/tree', 'text')");
	add_text("a", "/tree");
	finish();
	expect_text("a", layer.tree);
	cr_expect_eq(job.rewritten, 1);
}

Test(conda, what_is_left_is_told)
{
	static const struct {
		const char *records, *note;
	} cases[] = {
		{ "('a', '/build', 'binary')", "'a' has no room for the path of the layer" },
		{ "('a', '/build', 'other')", "record that is not understood" },
		{ "('a', '', 'text')", "record that is not understood" },
		{ "('a', '/build', 'text'", "record that is not understood" },
		{ "('a', '/build', 'text'),,", "record that is not understood" },
		{ "('a', '/build)", "record that is not understood" },
		{ "('\\x61', '/build', 'text')", "record that is not understood" },
		{ "('a\\", "record that is not understood" },
		{ "(a, '/build', 'text')", "record that is not understood" },
		{ "rm('a')", "record that is not understood" },
	};
	size_t i;

	tear_down();
	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		set_up();
		add_environment("", cases[i].records);
		add_text("a", "/build\n");
		finish();
		expect_text("a", "/build\n");
		cr_expect(strstr(job.note, cases[i].note), "%s: '%s'", cases[i].records, job.note);
		tear_down();
	}
	set_up();
	add_text("bin/conda-unpack", "#!/bin/sh\n");
	add_text("conda-meta/history", "");
	finish();
	cr_expect(strstr(job.note, "holds no table"), "'%s'", job.note);
}

Test(conda, without_conda_meta_it_is_no_environment)
{
	add_text("bin/conda-unpack", "\n_prefix_records = [\n('a', '/build', 'text')\n]\n");
	add_text("xbin/conda-unpack", "\n_prefix_records = [\n('a', '/build', 'text')\n]\n");
	add_text("a", "/build\n");
	finish();
	expect_text("a", "/build\n");
	cr_expect_str_eq(job.note, "");
}

/* One byte becomes a path, everywhere. */
Test(limits, what_grows_is_held_to_the_limits, .fini = tear_down)
{
	_cleanup_free_ char *text = alloc0(1, (1 << 20) + 1);

	set_up_with(&(struct place_limits){ .max_bytes = 4 << 20 });
	memset(text, '/', 1 << 20);
	add_environment("", "('a', '/', 'text')");
	add_text("a", text);
	extracted_finish(&layer);
	cr_expect_lt(conda_finish(&job, &err), 0);
	cr_expect_str_eq(err.reason, "LIMIT_EXCEEDED");
}
