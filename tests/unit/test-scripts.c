#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include "daemon/worker/scripts.h"
#include "tests/support/extracted.h"
#include "tests/support/trees.h"

#define BODY "print('hello')\n"

static struct extracted layer;
static struct scripts job;
static struct error err;

static void set_up_with(const struct place_limits *limits)
{
	extracted_init(&layer, limits);
	job = (struct scripts){
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

static void add_file(const char *name, const void *data, size_t size, bool is_executable)
{
	extracted_add_file(&layer, name, data, size, is_executable);
}

static void add_text(const char *name, const char *text)
{
	add_file(name, text, strlen(text), true);
}

static void add_link(const char *name, enum place_type type, const char *target)
{
	extracted_add_link(&layer, name, type, target);
}

static void add_virtualenv(const char *root)
{
	_cleanup_free_ char *config = text_format("%spyvenv.cfg", root);
	_cleanup_free_ char *python = text_format("%sbin/python", root);
	_cleanup_free_ char *python3 = text_format("%sbin/python3", root);

	add_text(config, "home = /opt/base/bin/ \ninclude-system-site-packages = false\n");
	add_link(python, PLACE_SYMLINK, "/usr/bin/python3");
	add_link(python3, PLACE_SYMLINK, "python");
}

static void finish(void)
{
	extracted_finish(&layer);
	cr_assert_eq(scripts_finish(&job, &err), 0, "%s", err.text);
}

static struct place_view view_of(const char *name)
{
	size_t i, count = place_sort(layer.place);

	for (i = 0; i < count; i++) {
		struct place_view view = place_get(layer.place, i);

		if (view.name && text_equal(view.name, name))
			return view;
	}
	cr_assert_fail("there is no '%s'", name);
	abort();
}

/* Its content; and that the place tells it as it is. */
static void expect_file(const char *name, const char *content)
{
	_cleanup_free_ char *is = trees_read(layer.tree, name);
	_cleanup_free_ char *path = text_format("%s/%s", layer.tree, name);
	struct place_view view = view_of(name);
	uint8_t digest[SHA256_SIZE];
	struct stat st;

	cr_expect_str_eq(is, content, "%s", name);
	cr_assert_eq(stat(path, &st), 0);
	cr_expect_eq(st.st_size, (off_t)view.size, "%s", name);
	cr_expect_eq(st.st_mtime, EXTRACTED_MTIME, "%s", name);
	cr_expect_eq(view.mtime, EXTRACTED_MTIME, "%s", name);
	cr_expect_eq(st.st_mode & 07777, view.is_executable ? 0555 : 0444, "%s", name);
	sha256_add(layer.sha256, content, strlen(content));
	sha256_end(layer.sha256, digest);
	cr_expect_arr_eq(digest, view.sha256, SHA256_SIZE, "%s", name);
}

/* A script of @root that starts @name of that environment. */
static void expect_script(const char *root, const char *script, const char *name)
{
	_cleanup_free_ char *file = text_format("%sbin/%s", root, script);
	_cleanup_free_ char *content = text_format("#!%s/%sbin/%s\n" BODY, layer.tree, root, name);

	expect_file(file, content);
}

TestSuite(scripts, .init = set_up, .fini = tear_down);

Test(scripts, they_start_the_interpreter_beside_them)
{
	add_virtualenv("venv/");
	add_link("venv/bin/python3.11", PLACE_SYMLINK, "python");
	add_text("venv/bin/a", "#!/build/venv/bin/python\n" BODY);
	add_text("venv/bin/b", "#!/build/venv/bin/python3\n" BODY);
	add_text("venv/bin/c", "#!/build/venv/bin/python3.11\n" BODY);
	add_text("venv/bin/d", "#!/other/place/bin/python3.12\n" BODY);
	add_file("venv/bin/e", "#!/b/bin/python\n" BODY, 16 + strlen(BODY), false);
	finish();
	expect_script("venv/", "a", "python");
	expect_script("venv/", "b", "python3");
	expect_script("venv/", "c", "python3.11");
	expect_script("venv/", "d", "python3");
	expect_script("venv/", "e", "python");
	cr_expect(view_of("venv/bin/a").is_executable);
	cr_expect_not(view_of("venv/bin/e").is_executable);
	cr_expect_eq(job.rewritten, 5);
}

Test(scripts, each_virtualenv_has_its_own_wherever_it_is)
{
	static const char *const roots[] = { "", "a/", "a/b/c/", "a-b/" };
	size_t i;

	for (i = 0; i < ARRAY_SIZE(roots); i++) {
		_cleanup_free_ char *name = text_format("%sbin/x", roots[i]);

		add_virtualenv(roots[i]);
		add_text(name, "#!/build/venv/bin/python\n" BODY);
	}
	finish();
	for (i = 0; i < ARRAY_SIZE(roots); i++)
		expect_script(roots[i], "x", "python");
}

Test(scripts, activate_names_the_new_place)
{
	_cleanup_free_ char *content = text_format("VIRTUAL_ENV='%s/venv'\n", layer.tree);
	_cleanup_free_ char *fish = text_format("set -gx VIRTUAL_ENV '%s/venv'\n", layer.tree);

	add_virtualenv("venv/");
	add_text("venv/bin/activate", "VIRTUAL_ENV=/build/venv\n");
	add_text("venv/bin/activate.fish", "set -gx VIRTUAL_ENV '/build/venv'\n");
	add_text("venv/bin/other", "VIRTUAL_ENV=/build/venv\n");
	finish();
	expect_file("venv/bin/activate", content);
	expect_file("venv/bin/activate.fish", fish);
	expect_file("venv/bin/other", "VIRTUAL_ENV=/build/venv\n");
}

Test(scripts, what_means_another_interpreter_is_left)
{
	static const char *const lines[] = {
		"#!/usr/bin/python3\n",
		"#!/usr/bin/env python3\n",
		"#!/usr/local/bin/python3.11 -E\n",
		"#!/bin/python3\n",
		"#!/bin/sh\n",
		"#!/opt/base/bin/python3\n", /* home */
		"#!/build/venv/bin/bash\n",
		"#!/build/venv/bin/python-config\n",
		"#!/build/venv/libexec/python3\n",
		"#!/python3\n",
		"#!/build/venv/bin/\n",
		"\177ELF\n",
	};
	char name[32];
	size_t i;

	add_virtualenv("venv/");
	for (i = 0; i < ARRAY_SIZE(lines); i++) {
		snprintf(name, sizeof(name), "venv/bin/%zu", i);
		add_text(name, lines[i]);
	}
	finish();
	for (i = 0; i < ARRAY_SIZE(lines); i++) {
		snprintf(name, sizeof(name), "venv/bin/%zu", i);
		expect_file(name, lines[i]);
	}
	cr_expect_eq(job.rewritten, 0);
}

Test(scripts, what_is_in_no_bin_of_a_virtualenv_is_left)
{
	static const char line[] = "#!/build/venv/bin/python\n" BODY;
	static const char *const names[] = { "bin/x", "venv/bin/sub/x", "venv/lib/x", "venv/x",
		"venv/Scripts/x", "venv/sbin/x", "x/bin/y" };
	size_t i;

	add_virtualenv("venv/");
	add_link("x/pyvenv.cfg", PLACE_SYMLINK, "../venv/pyvenv.cfg");
	add_link("x/bin/python", PLACE_SYMLINK, "/usr/bin/python3");
	for (i = 0; i < ARRAY_SIZE(names); i++)
		add_text(names[i], line);
	finish();
	for (i = 0; i < ARRAY_SIZE(names); i++)
		expect_file(names[i], line);
}

Test(scripts, without_an_interpreter_there_is_nothing_to_start)
{
	add_text("venv/pyvenv.cfg", "home = /usr/bin\n");
	add_text("venv/bin/x", "#!/build/venv/bin/python\n" BODY);
	finish();
	expect_file("venv/bin/x", "#!/build/venv/bin/python\n" BODY);
}

Test(scripts, a_link_out_of_the_tree_is_not_followed)
{
	_cleanup_free_ char *path = text_format("%s/outside", layer.scratch), *is = NULL;

	trees_write(layer.scratch, "outside", "#!/build/bin/python\n", 20, 0666);
	add_virtualenv("");
	add_link("bin/x", PLACE_SYMLINK, path);
	add_link("bin/y", PLACE_HARDLINK, "bin/x");
	add_link("bin/activate", PLACE_SYMLINK, path);
	finish();
	is = trees_read(layer.scratch, "outside");
	cr_expect_str_eq(is, "#!/build/bin/python\n");
	cr_expect_eq(job.rewritten, 0);
}

Test(scripts, hard_links_part_and_each_counts)
{
	static const char old[] = "#!/build/venv/bin/python\n" BODY;
	uint64_t before,
		longer = strlen(layer.tree) + strlen("/bin/python") -
		strlen("/build/venv/bin/python");

	add_virtualenv("");
	add_text("lib/x", old);
	add_link("bin/x", PLACE_HARDLINK, "lib/x");
	add_link("bin/y", PLACE_HARDLINK, "lib/x");
	before = place_get_bytes(layer.place);
	finish();
	expect_script("", "x", "python");
	expect_script("", "y", "python");
	expect_file("lib/x", old);
	cr_expect_eq(place_get_bytes(layer.place), before + 2 * (strlen(old) + longer));
}

/* A few bytes of archive, many links: that is what limits are for. */
Test(limits, hard_links_that_part_are_held_to_the_limits, .fini = tear_down)
{
	static char big[1 << 20] = "#!/build/venv/bin/python\n";
	char name[16];
	int i;

	set_up_with(&(struct place_limits){ .max_bytes = 5 << 20 });
	add_virtualenv("");
	add_file("bin/0", big, sizeof(big), true);
	for (i = 1; i < 10; i++) {
		snprintf(name, sizeof(name), "bin/%d", i);
		add_link(name, PLACE_HARDLINK, "bin/0");
	}
	extracted_finish(&layer);
	cr_expect_lt(scripts_finish(&job, &err), 0);
	cr_expect_str_eq(err.reason, "LIMIT_EXCEEDED");
}

Test(scripts, what_follows_the_first_line_is_kept_whatever_it_is)
{
	static const char start[] = "#!/build/venv/bin/python\n";
	size_t i, size = 3 << 20, n = strlen(start);
	_cleanup_free_ char *data = malloc(size), *path = NULL, *first = NULL;
	_cleanup_buffer_ struct buffer is = { 0 };

	for (i = 0; i < size; i++)
		data[i] = (char)(i * 7);
	memcpy(data, start, n);
	add_virtualenv("venv/");
	add_file("venv/bin/x", data, size, true);
	finish();
	path = text_format("%s/venv/bin/x", layer.tree);
	first = text_format("#!%s/venv/bin/python\n", layer.tree);
	cr_assert_eq(fs_read_file(AT_FDCWD, path, 8 << 20, &is), 0);
	cr_assert_eq(is.size, size - n + strlen(first));
	cr_expect_arr_eq(is.data, first, strlen(first));
	cr_expect_arr_eq(is.data + strlen(first), data + n, size - n);
}

Test(scripts, a_name_that_no_script_could_hold_is_left)
{
	static const char line[] = "#!/build/venv/bin/python\n" BODY;

	add_virtualenv("a\nb/");
	add_text("a\nb/bin/x", line);
	add_virtualenv("c\\d/");
	add_text("c\\d/bin/x", line);
	add_virtualenv("e\xff/");
	add_text("e\xff/bin/x", line);
	finish();
	cr_expect_eq(job.rewritten, 0);
}

Test(scripts, a_name_with_blanks_and_quotes_is_started_by_a_shell)
{
	_cleanup_free_ char *content = text_format(
		"#!/bin/sh\n'''exec' '%s/it'\"'\"'s a venv/bin/python' \"$0\" \"$@\"\n' '''\n" BODY,
		layer.tree);

	add_virtualenv("it's a venv/");
	add_text("it's a venv/bin/x", "#!/build/venv/bin/python\n" BODY);
	finish();
	expect_file("it's a venv/bin/x", content);
}
