#include "proto/spec.h"

#include <criterion/criterion.h>
#include <errno.h>

/* Archives "/a0", "/a1", … at these targets. */
static struct spec spec_of(const char *const *targets, size_t count)
{
	struct spec spec = { .archives = new0_array(struct spec_archive, count) };
	size_t i;

	spec.archive_count = count;
	for (i = 0; i < count; i++) {
		spec.archives[i].path = text_format("/a%zu", i);
		spec.archives[i].target = text_copy(targets[i]);
	}
	return spec;
}

static void expect_target(const char *target, const char *reason, const char *words)
{
	_cleanup_(spec_deinit) struct spec spec = spec_of(&target, 1);
	struct error err = { 0 };
	int r = spec_check(&spec, &err);

	cr_expect_eq(r, reason ? -EINVAL : 0, "'%s' gave %d", target, r);
	if (!reason)
		return;
	cr_expect_str_eq(err.reason, reason);
	cr_expect(strstr(err.text, "/a0") && strstr(err.text, words), "%s", err.text);
}

Test(spec, a_target_is_a_place_beneath_the_working_directory)
{
	expect_target("venv", NULL, NULL);
	expect_target("models/a", NULL, NULL);
	expect_target("..a/b..", NULL, NULL);
	expect_target("", "TARGET_INVALID", "empty");
	expect_target("/venv", "TARGET_INVALID", "absolute");
	expect_target("..", "TARGET_INVALID", "climbs");
	expect_target("a/../b", "TARGET_INVALID", "climbs");
	expect_target("a/..", "TARGET_INVALID", "climbs");
	expect_target(".", "TARGET_INVALID", "component");
	expect_target("a//b", "TARGET_INVALID", "component");
	expect_target("a/", "TARGET_INVALID", "component");
}

static void expect_targets(const char *a, const char *b, bool conflict)
{
	const char *targets[] = { a, "m", b };
	_cleanup_(spec_deinit) struct spec spec = spec_of(targets, 3);
	struct error err = { 0 };
	int r = spec_check(&spec, &err);

	cr_expect_eq(r, conflict ? -EINVAL : 0, "'%s' and '%s' gave %d", a, b, r);
	if (!conflict)
		return;
	cr_expect_str_eq(err.reason, "TARGET_CONFLICT");
	cr_expect(strstr(err.text, "/a0") && strstr(err.text, "/a2"), "%s", err.text);
}

Test(spec, equal_and_nested_targets_are_refused_with_both_names)
{
	expect_targets("a", "a", true);
	expect_targets("a", "a/b", true);
	expect_targets("a/b/c", "a/b", true);
	expect_targets("a", "ab", false);
	expect_targets("a/b", "a/c", false);
	/* What sorts between a directory and what is in it must not hide that. */
	expect_targets("a", "a-b", false);
}

Test(spec, a_nested_target_is_found_past_one_that_sorts_in_between)
{
	const char *targets[] = { "a", "a-b", "a/b" };
	_cleanup_(spec_deinit) struct spec spec = spec_of(targets, 3);

	cr_expect_eq(spec_check(&spec, NULL), -EINVAL);
}

static void expect_file(const char *path, const char *name, const char *words)
{
	_cleanup_(spec_deinit) struct spec spec = { .files = new0(struct spec_file) };
	struct error err = { 0 };
	int r;

	spec.files[0] = spec_file_of(path, name);
	spec.file_count = 1;
	r = spec_check(&spec, &err);
	cr_expect_eq(r, words ? -EINVAL : 0, "'%s' '%s' gave %d", path, name, r);
	if (words)
		cr_expect(strstr(err.text, words), "%s", err.text);
}

Test(spec, a_python_file_has_the_name_of_a_file)
{
	_cleanup_(spec_deinit) struct spec spec = { .files = new0(struct spec_file) };

	expect_file("/a/b.py", "", NULL);
	expect_file("/a/b/", "", NULL);
	expect_file("/", "lib", NULL);
	expect_file("/", "", "the name '' is not");
	expect_file("//", "", "the name '' is not");
	expect_file("/a/..", "", "the name '..' is not");
	expect_file("/a", "b/c", "the name 'b/c' is not");
	spec.files[0] = spec_file_of("/a/b//", "");
	spec.file_count = 1;
	cr_expect_str_eq(spec.files[0].path, "/a/b");
	cr_expect_str_eq(spec.files[0].name, "b");
}

static void expect_variables(const char *first, const char *second, bool fine)
{
	_cleanup_(spec_deinit) struct spec spec = { 0 };

	spec.variables = new0_array(struct spec_variable, 2);
	spec.variable_count = 2;
	spec.variables[0].name = text_copy(first);
	spec.variables[1].name = text_copy(second);
	spec.variables[0].value = text_copy("x");
	spec.variables[1].value = text_copy("y");
	cr_expect_eq(spec_check(&spec, NULL), fine ? 0 : -EINVAL, "'%s' '%s'", first, second);
	if (fine)
		cr_expect(strcmp(spec.variables[0].name, spec.variables[1].name) < 0);
}

Test(spec, variables_have_names_and_each_once)
{
	expect_variables("B", "A", true);
	expect_variables("A", "A", false);
	expect_variables("", "A", false);
	expect_variables("A=", "B", false);
}

Test(spec, the_use_of_a_python_file_is_told_by_its_name)
{
	cr_expect_eq(spec_file_use("a.py"), SPEC_FILE_MODULE);
	cr_expect_eq(spec_file_use("a.zip"), SPEC_FILE_EXTRACTED);
	cr_expect_eq(spec_file_use("a.jar"), SPEC_FILE_EXTRACTED);
	cr_expect_eq(spec_file_use("a.tar.gz"), SPEC_FILE_EXTRACTED);
	cr_expect_eq(spec_file_use("a.tgz"), SPEC_FILE_EXTRACTED);
	cr_expect_eq(spec_file_use("a.whl"), SPEC_FILE_ITSELF);
	cr_expect_eq(spec_file_use("a.egg"), SPEC_FILE_ITSELF);
	cr_expect_eq(spec_file_use("directory"), SPEC_FILE_ITSELF);
}

Test(spec, a_relative_python_is_found_in_the_archive_it_leads_into)
{
	const char *targets[] = { "venv", "deep/er" };
	_cleanup_(spec_deinit) struct spec spec = spec_of(targets, 2);
	const char *rest;

	cr_expect_eq(spec_find_archive(&spec, "venv/bin/python", &rest), &spec.archives[0]);
	cr_expect_str_eq(rest, "bin/python");
	cr_expect_eq(spec_find_archive(&spec, "deep/er/bin/python", &rest), &spec.archives[1]);
	cr_expect_null(spec_find_archive(&spec, "venvx/bin/python", &rest));
	cr_expect_null(spec_find_archive(&spec, "venv", &rest));
}
