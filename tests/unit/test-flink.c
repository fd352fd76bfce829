#include "proto/flink.h"

#include <criterion/criterion.h>
#include <errno.h>

#define MAX_ROWS 16

/* One case: what is configured and cached, each ended by an empty row, and what a
 * request that says the same would be, as text; or part of the refusal. */
struct example {
	struct flink_entry configuration[MAX_ROWS], cached_files[MAX_ROWS];
	const char *expected, *refusal;
};

static size_t count_of(const struct flink_entry *entries)
{
	size_t count = 0;

	while (entries[count].key)
		count++;
	return count;
}

/* "files: path=name … archives: path=target … requirements: …", what is default left out. */
static char *describe(const struct spec *spec)
{
	struct buffer text = { 0 };
	size_t i;

	for (i = 0; i < spec->file_count; i++)
		buffer_format(&text, "file %s=%s ", spec->files[i].path, spec->files[i].name);
	for (i = 0; i < spec->archive_count; i++)
		buffer_format(
			&text, "archive %s=%s ", spec->archives[i].path, spec->archives[i].target);
	if (spec->requirements.path)
		buffer_format(&text, "requirements %s ", spec->requirements.path);
	if (spec->requirements.packages)
		buffer_format(&text, "packages %s ", spec->requirements.packages);
	for (i = 0; i < spec->variable_count; i++)
		buffer_format(&text, "%s=<%s> ", spec->variables[i].name, spec->variables[i].value);
	if (!text_equal(spec->python, "python"))
		buffer_format(&text, "python %s ", spec->python);
	if (*spec->python_path)
		buffer_format(&text, "python-path %s ", spec->python_path);
	if (!text_equal(spec->base_path, "/base") || !text_equal(spec->base_python_path, "/lib"))
		buffer_format(&text, "without base ");
	if (text.size)
		text.size--;
	return buffer_steal_text(&text);
}

static int fill(const struct example *example, struct spec *spec, struct error *err)
{
	struct flink flink = {
		.configuration = example->configuration,
		.cached_files = example->cached_files,
		.configuration_count = count_of(example->configuration),
		.cached_file_count = count_of(example->cached_files),
	};
	int r;

	*spec = (struct spec){
		.python = text_copy(""),
		.python_path = text_copy(""),
		.base_path = text_copy("/base"),
		.base_python_path = text_copy("/lib"),
	};
	r = flink_fill(&flink, spec, err);
	return r ? r : spec_check(spec, err);
}

static void expect_example(const struct example *example)
{
	_cleanup_(spec_deinit) struct spec spec = { 0 };
	_cleanup_free_ char *text = NULL;
	struct error err = { 0 };
	const char *key = example->configuration[0].key, *value = example->configuration[0].value;
	int r = fill(example, &spec, &err);

	if (example->refusal) {
		cr_expect_eq(r, -EINVAL, "'%s: %s' gave %d", key, value, r);
		cr_expect(strstr(err.text, example->refusal), "'%s: %s' is refused so: %s", key,
			value, err.text);
		return;
	}
	cr_assert_eq(r, 0, "'%s: %s' is refused: %s", key, value, err.text);
	text = describe(&spec);
	cr_expect_str_eq(text, example->expected, "'%s: %s' gave %s", key, value, text);
}

static void expect_examples(const struct example *examples, size_t count)
{
	size_t i;

	for (i = 0; i < count; i++)
		expect_example(&examples[i]);
}

Test(flink, python_files_are_divided_by_commas_and_nothing_else)
{
	const struct example examples[] = {
		{ { { "python.files", "/a/b.py" } }, .expected = "file /a/b.py=b.py" },
		{ { { "python.files", "/a/b.py,/c/d.zip,/e/f" } },
			.expected = "file /a/b.py=b.py file /c/d.zip=d.zip file /e/f=f" },
		{ { { "python.files", "/a/b#c.py" } }, .expected = "file /a/b#c.py=b#c.py" },
		{ { { "python.files", "/a b/'c'.py ,/\\d" } },
			.expected = "file /a b/'c'.py ='c'.py  file /\\d=\\d" },
		{ { { "python.files", "/a/,/b//" } }, .expected = "file /a=a file /b=b" },
		{ { { "python.files", "/a,,,," } }, .expected = "file /a=a" },
		{ { { "python.files", ",," } }, .expected = "" },
		{ { { "python.files", "/a/x.py,/b/x.py,/a/x.py" } },
			.expected = "file /a/x.py=x.py file /b/x.py=x.py" },
		{ { { "python.files", "file:///a/x.py,file:/b/x.py" } },
			.expected = "file /a/x.py=x.py file /b/x.py=x.py" },
		{ { { "python.files", "" } }, .refusal = "python.files is empty" },
		{ { { "python.files", ",/a" } }, .refusal = "python.files is empty" },
		{ { { "python.files", "/a,,/b" } }, .refusal = "python.files is empty" },
		{ { { "python.files", "/a, /b" } },
			.refusal = "python.files ' /b' is not absolute" },
		{ { { "python.files", "x.py" } },
			.refusal = "python.files 'x.py' is not absolute" },
		{ { { "python.files", "/" } }, .refusal = "the name '' is not a file name" },
		{ { { "python.files", "/a/.." } }, .refusal = "the name '..' is not a file name" },
		{ { { "python.files", "hdfs://n:9000/x.py" } },
			.refusal = "python.files 'hdfs://n:9000/x.py' is not on this host" },
		{ { { "python.files", "file://host/x.py" } }, .refusal = "is not on this host" },
		{ { { "python.files", "file:x.py" } }, .refusal = "is not absolute" },
	};

	expect_examples(examples, ARRAY_SIZE(examples));
}

Test(flink, the_first_hash_of_an_archive_divides_path_and_target)
{
	const struct example examples[] = {
		{ { { "python.archives", "/a/venv.zip" } },
			.expected = "archive /a/venv.zip=venv.zip" },
		{ { { "python.archives", "/a/venv.zip#venv,/b.tgz#m/n,/c.tar.gz" } },
			.expected = "archive /a/venv.zip=venv archive /b.tgz=m/n "
				    "archive /c.tar.gz=c.tar.gz" },
		{ { { "python.archives", "/a.zip#x#y" } }, .expected = "archive /a.zip=x#y" },
		{ { { "python.archives", "/a.zip# x " } }, .expected = "archive /a.zip= x " },
		{ { { "python.archives", "/a.zip#x,/a.zip#y" } },
			.expected = "archive /a.zip=x archive /a.zip=y" },
		{ { { "python.archives", "/a.zip#x,/b.zip,/a.zip#x" } },
			.expected = "archive /a.zip=x archive /b.zip=b.zip" },
		{ { { "python.archives", "/a.zip,/a.zip#a.zip" } },
			.expected = "archive /a.zip=a.zip" },
		{ { { "python.archives", "file:///a.zip#x" } }, .expected = "archive /a.zip=x" },
		{ { { "python.archives", "/a.zip#" } }, .refusal = "'/a.zip' is empty" },
		{ { { "python.archives", "/a.zip#/x" } },
			.refusal = "'/x' of archive '/a.zip' is abs" },
		{ { { "python.archives", "/a.zip#../x" } },
			.refusal = "'../x' of archive '/a.zip' climbs" },
		{ { { "python.archives", "/a.zip#x/.." } }, .refusal = "climbs" },
		{ { { "python.archives", "/a.zip#." } }, .refusal = "component" },
		{ { { "python.archives", "/a.zip#x,/b.zip#x" } },
			.refusal = "'x' (archive '/a.zip') and 'x' (archive '/b.zip')" },
		{ { { "python.archives", "/a.zip#x,/b.zip#x/y" } },
			.refusal = "lies in the other" },
		{ { { "python.archives", "/1/a.zip,/2/a.zip" } }, .refusal = "'a.zip' (archive" },
		{ { { "python.archives", "#x" } }, .refusal = "python.archives is empty" },
		{ { { "python.archives", "a.zip#x" } },
			.refusal = "python.archives 'a.zip' is not abs" },
		{ { { "python.archives", "s3://b/a.zip#x" } },
			.refusal = "'s3://b/a.zip' is not on" },
	};

	expect_examples(examples, ARRAY_SIZE(examples));
}

Test(flink, requirements_may_come_with_a_directory_of_packages)
{
	const struct example examples[] = {
		{ { { "python.requirements", "/r.txt" } }, .expected = "requirements /r.txt" },
		{ { { "python.requirements", "/r.txt#/w" } },
			.expected = "requirements /r.txt packages /w" },
		{ { { "python.requirements", "/a,b#/w#x" } },
			.expected = "requirements /a,b packages /w#x" },
		{ { { "python.requirements", "file:///r#file:///w" } },
			.expected = "requirements /r packages /w" },
		{ { { "python.requirements", "" } }, .refusal = "python.requirements is empty" },
		{ { { "python.requirements", "#/w" } }, .refusal = "python.requirements is empty" },
		{ { { "python.requirements", "/r#" } },
			.refusal = "python.requirements: the directory behind the '#' is empty" },
		{ { { "python.requirements", "/r#w" } },
			.refusal = "behind the '#' 'w' is not abs" },
		{ { { "python.requirements", "r" } }, .refusal = "'r' is not absolute" },
	};

	expect_examples(examples, ARRAY_SIZE(examples));
}

Test(flink, a_key_map_wins_over_the_option_it_was_made_from)
{
	const struct example examples[] = {
		{ { { "python.files", "/home/me/f.py" },
			  { "python.internal.files-key-map", "{k2: f.py, k1: g.py}" },
			  { "python.archives", "a.zip" },
			  { "python.internal.archives-key-map", "{k3: a.zip#venv, k4: b.zip}" },
			  { "python.requirements", "hdfs://r" },
			  { "python.internal.requirements-file-key", "{cache: k6, file: k5}" } },
			{ { "k1", "/b/1" }, { "k2", "/b/2" }, { "k3", "/b/3" }, { "k4", "/b/4" },
				{ "k5", "/b/5" }, { "k6", "file:///b/6" },
				{ "other", "relative" } },
			.expected = "file /b/2=f.py file /b/1=g.py archive /b/3=venv "
				    "archive /b/4=b.zip requirements /b/5 packages /b/6" },
		{ { { "python.internal.archives-key-map", "k:a.zip#x#y,l:venv" } },
			{ { "k", "/1" }, { "l", "/2" } },
			.expected = "archive /1=x#y archive /2=venv" },
		/* Each option for itself. */
		{ { { "python.files", "/f.py" }, { "python.internal.archives-key-map", "k:a" } },
			{ { "k", "/1" } }, .expected = "file /f.py=f.py archive /1=a" },
		{ { { "python.internal.files-key-map", "" }, { "python.files", "/f.py" } },
			.expected = "" },
		{ { { "python.internal.files-key-map", "{}" }, { "python.files", "/f.py" } },
			.expected = "" },
		{ { { "python.internal.files-key-map.b", "b.py" },
			  { "python.internal.files-key-map.a", "a.py" },
			  { "python.files", "/f.py" } },
			{ { "a", "/1" }, { "b", "/2" } }, .expected = "file /1=a.py file /2=b.py" },
		/* Two keys of one path: the last name, at the first's place. */
		{ { { "python.internal.files-key-map", "k:a.py,l:b.py,m:c.py" } },
			{ { "k", "/1" }, { "l", "/2" }, { "m", "/1" } },
			.expected = "file /1=c.py file /2=b.py" },
		{ { { "python.internal.files-key-map", "k:a.py" } },
			{ { "k", "/old" }, { "k", "/new" } }, .expected = "file /new=a.py" },
		{ { { "python.internal.requirements-file-key", "{cache: k}" } }, { { "k", "/1" } },
			.expected = "" },
		{ { { "python.internal.files-key-map", "k:a.py" } },
			.refusal =
				"python.internal.files-key-map: 'k' is not in flink.cached_files" },
		{ { { "python.internal.archives-key-map", "k:a.zip" } }, { { "K", "/1" } },
			.refusal = "python.internal.archives-key-map: 'k' is not in" },
		{ { { "python.internal.requirements-file-key", "{file: k, cache: l}" } },
			{ { "k", "/1" } },
			.refusal = "python.internal.requirements-file-key: 'l' is not in" },
		{ { { "python.internal.files-key-map", "k:a.py" } }, { { "k", "blob" } },
			.refusal = "flink.cached_files['k'] 'blob' is not absolute" },
		{ { { "python.internal.files-key-map", "k:a.py" } }, { { "k", "" } },
			.refusal = "flink.cached_files['k'] is empty" },
		{ { { "python.internal.files-key-map", "k:a.py" } }, { { "k", "s3://x" } },
			.refusal = "flink.cached_files['k'] 's3://x' is not on this host" },
		{ { { "python.internal.files-key-map", "k:''" } }, { { "k", "/1" } },
			.refusal = "python.internal.files-key-map: 'k' has no name" },
		{ { { "python.internal.files-key-map", "k:../x.py" } }, { { "k", "/1" } },
			.refusal = "the name '../x.py' is not a file name" },
		{ { { "python.internal.archives-key-map", "k:a.zip#../x" } }, { { "k", "/1" } },
			.refusal = "'../x' of archive '/1' climbs" },
		{ { { "python.internal.archives-key-map", "k:''" } }, { { "k", "/1" } },
			.refusal = "'/1' is empty" },
		{ { { "python.internal.archives-key-map", "k:a#x,l:b#x" } },
			{ { "k", "/1" }, { "l", "/2" } }, .refusal = "(archive '/1') and" },
	};

	expect_examples(examples, ARRAY_SIZE(examples));
}

Test(flink, job_options_are_the_variables)
{
	const struct example examples[] = {
		{ { { "python.job-options.B", "2, x:y" }, { "python.job-options.A", "'1'" } },
			.expected = "A=<'1'> B=<2, x:y>" },
		{ { { "python.job-options.A", "1" }, { "python.job-options.A", "2" } },
			.expected = "A=<2>" },
		{ { { "python.job-options", "A:1" }, { "python.job-options.B", "2" } },
			.expected = "A=<1>" },
		{ { { "python.job-options", "A:1" }, { "python.job-options", "A:2" } },
			.expected = "A=<2>" },
		{ { { "python.job-optionsX", "1" } }, .expected = "" },
		{ { { "python.job-options.", "1" } },
			.refusal = "'' is not the name of a variable" },
		{ { { "python.job-options.A=", "1" } }, .refusal = "'A=' is not the name of" },
		{ { { "python.job-options", "A=1" } },
			.refusal = "python.job-options: pair 1: not" },
	};

	expect_examples(examples, ARRAY_SIZE(examples));
}

Test(flink, maps_are_read_as_flink_reads_them)
{
	static const struct {
		const char *text, *expected, *refusal;
	} maps[] = {
		/* The old way. */
		{ "", "" },
		{ "  ", "" },
		{ "A:1", "A=<1>" },
		{ "A:1,B:2", "A=<1> B=<2>" },
		{ " A : 1 , B : 2 ", "A=<1> B=<2>" },
		{ "A: 1, B: 2", "A=<1> B=<2>" },
		{ "A:x y", "A=<x y>" },
		{ "A:''", "A=<>" },
		{ ",A:1,", "A=<1>" },
		{ "A:it's", "A=<it's>" },
		{ "A:'x:y'", "A=<x:y>" },
		{ "A:\"x:y\"", "A=<x:y>" },
		{ "'A:\"x,y\"'", "A=<x,y>" },
		{ "'A:''x,y:z'''", "A=<x,y:z>" },
		{ "'A:''it''''s, ''''x''''''',B:2", "A=<it's, 'x'> B=<2>" },
		{ "\"A:\"\"it's, x\"\"\"", "A=<it's, x>" },
		{ "A:{\"x\"", "A=<{\"x\">" },
		{ "A:ü€𝄞", "A=<ü€𝄞>" },
		{ "A", NULL, "pair 1: not 'key:value'" },
		{ "A:", NULL, "pair 1: not 'key:value'" },
		{ ":A", NULL, "pair 1: not 'key:value'" },
		{ "A:1,B", NULL, "pair 2: not 'key:value'" },
		{ "A:1,,B:2", NULL, "pair 2: not 'key:value'" },
		{ "A:1:2", NULL, "pair 1: not 'key:value'" },
		{ "A:http://x", NULL, "pair 1: not 'key:value'; what holds a ',' or ':' must" },
		{ "A:\"x,y\"", NULL, "pair 1: a quote is not closed" },
		{ "A:'x", NULL, "pair 1: a quote is not closed" },
		{ "'A:1", NULL, "pair 1: a quote is not closed" },
		{ "'", NULL, "pair 1: a quote is not closed" },
		{ "'A':1", NULL, "pair 1: something follows a closing quote" },
		{ "A:'x'y", NULL, "pair 1: something follows a closing quote" },
		{ "A:1,A:2", NULL, "'A' is given twice" },
		/* The new one. */
		{ "{}", "" },
		{ " { } ", "" },
		{ "{A: 1}", "A=<1>" },
		{ "{A: 1, B: 2, }", "A=<1> B=<2>" },
		{ "{A: x y ,B :  z}", "A=<x y> B=<z>" },
		{ "{A: yes, B: 010, C: 1.10, D: null}", "A=<yes> B=<010> C=<1.10> D=<null>" },
		{ "{A: 'it''s', B: '{x: y}, z'}", "A=<it's> B=<{x: y}, z>" },
		{ "{\"A\":\"1\",\"B\":\"x\\\"y\\\\z\\n\\t\\/\"}", "A=<1> B=<x\"y\\z\n\t/>" },
		{ "{A: \"\\xfc\\u20ac\\U0001d11e\"}", "A=<ü€𝄞>" },
		{ "{A: \"\\a\\b\\v\\f\\r\\e\\ \\N\\_\\L\\P\"}",
			"A=<\a\b\v\f\r\033 \xc2\x85\xc2\xa0\u2028\u2029>" },
		{ "{A: ''}", "A=<>" },
		{ "{A: x#y, B: http://x:1/y, C: -x}", "A=<x#y> B=<http://x:1/y> C=<-x>" },
		{ "{A: a'b\"c}", "A=<a'b\"c>" },
		{ "{a:b: c}", "a:b=<c>" },
		{ "{A: \xc3\xbc}", "A=<ü>" },
		{ "{", NULL, "pair 1: a text is missing" },
		{ "{A", NULL, "pair 1: no ': ' follows the key" },
		{ "{A}", NULL, "pair 1: no ': ' follows the key" },
		{ "{A:1}", NULL, "pair 1: no ': ' follows the key" },
		{ "{A: ", NULL, "pair 1: a text is missing" },
		{ "{A: }", NULL, "pair 1: a text is missing" },
		{ "{A: 1", NULL, "pair 1: no ',' or '}' follows the value" },
		{ "{A: 1]", NULL, "pair 1: no ',' or '}' follows the value" },
		{ "{A: 'x' y}", NULL, "pair 1: no ',' or '}' follows the value" },
		{ "{A: 1} x", NULL, "something follows the '}'" },
		{ "{A: 1}{", NULL, "something follows the '}'" },
		{ "{A: 1,,B: 2}", NULL, "pair 2: a text is missing" },
		{ "{,}", NULL, "pair 1: a text is missing" },
		{ "{A: -}", NULL, "pair 1: a text that begins so must be quoted" },
		{ "{A: :x}", NULL, "pair 1: a text that begins so must be quoted" },
		{ "{A: --, B: -1, C: ?x}", "A=<--> B=<-1> C=<?x>" },
		{ "{A: [x]}", NULL, "pair 1: a list or a map is no text" },
		{ "{A: {x: y}}", NULL, "pair 1: a list or a map is no text" },
		{ "{A: &x y}", NULL, "pair 1: a text that begins so must be quoted" },
		{ "{A: *x}", NULL, "pair 1: a text that begins so must be quoted" },
		{ "{A: !!int 1}", NULL, "pair 1: a text that begins so must be quoted" },
		{ "{? A: 1}", NULL, "pair 1: a text that begins so must be quoted" },
		{ "{A: x #y}", NULL, "pair 1: a text with ' #' must be quoted" },
		{ "{A: 'x", NULL, "pair 1: a quote is not closed" },
		{ "{A: \"x", NULL, "pair 1: a quote is not closed" },
		{ "{A: \"x\\", NULL, "pair 1: an escape is not known" },
		{ "{A: \"\\q\"}", NULL, "pair 1: an escape is not known" },
		{ "{A: \"\\x4", NULL, "pair 1: an escape is not known" },
		{ "{A: \"\\x4g\"}", NULL, "pair 1: an escape is not known" },
		{ "{A: \"\\x00\"}", NULL, "pair 1: an escape is not known" },
		{ "{A: \"\\ud83d\"}", NULL, "or stands for no character" },
		{ "{A: \"\\U00110000\"}", NULL, "or stands for no character" },
		{ "{A: 'x\ny'}", NULL, "pair 1: a text goes over several lines" },
		{ "{A: x\n  y}", NULL, "pair 1: a text goes over several lines" },
		{ "{A: 1, A: 2}", NULL, "'A' is given twice" },
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(maps); i++) {
		const struct example example = {
			{ { "python.job-options", maps[i].text } },
			.expected = maps[i].expected,
			.refusal = maps[i].refusal,
		};

		expect_example(&example);
	}
}

Test(flink, the_rest_of_python_is_taken_as_it_is)
{
	const struct example examples[] = {
		{ { { "python.executable", "venv.zip/bin/python --x" } },
			.expected = "python venv.zip/bin/python --x" },
		{ { { "python.executable", " /p" } }, .expected = "python  /p" },
		{ { { "python.pythonpath", "/a: b::" } }, .expected = "python-path /a: b::" },
		{ { { "python.systemenv.enabled", "FALSE" } }, .expected = "without base" },
		{ { { "python.systemenv.enabled", "True" } }, .expected = "" },
		{ { { "python.execution-mode", "Process" } }, .expected = "" },
		{ { { "python.executable", "" } }, .refusal = "python.executable is empty" },
		{ { { "python.systemenv.enabled", "no" } },
			.refusal = "python.systemenv.enabled 'no' is neither true nor false" },
		{ { { "python.execution-mode", "thread" } },
			.refusal = "python.execution-mode 'thread' is not served" },
	};

	expect_examples(examples, ARRAY_SIZE(examples));
}

Test(flink, what_is_none_of_our_business_is_left_alone)
{
	const struct example example = {
		{ { "jobmanager.rpc.port", "6123" }, { "", "" }, { "python", "x" },
			{ "python.client.executable", "" },
			{ "python.loopback-server.address", "localhost:1" },
			{ "python.fn-execution.bundle.size", "many" },
			{ "pipeline.cached-files", "name:k,path:'hdfs:///f'" },
			{ "python.internal.files-key-maps", "{{{" } },
		.expected = "",
	};
	const struct example nothing = { .expected = "" };

	expect_example(&example);
	expect_example(&nothing);
}

/* An option's value of so many parts, @begin<number>@end each. */
static void expect_many(
	const char *option, const char *begin, const char *end, size_t count, const char *refusal)
{
	_cleanup_buffer_ struct buffer buffer = { 0 };
	_cleanup_free_ char *text = NULL;
	struct example example = { 0 };
	_cleanup_(spec_deinit) struct spec spec = { 0 };
	struct error err = { 0 };
	size_t i;
	int r;

	for (i = 0; i < count; i++)
		buffer_format(&buffer, "%s%zu%s,", begin, i, end);
	text = buffer_steal_text(&buffer);
	example.configuration[0] = (struct flink_entry){ option, text };
	r = fill(&example, &spec, &err);
	cr_expect_eq(r, refusal ? -EINVAL : 0, "%zu in %s gave %d", count, option, r);
	if (refusal)
		cr_expect(strstr(err.text, refusal), "%s", err.text);
}

Test(flink, there_are_limits_to_how_many)
{
	struct flink_entry *entries = new0_array(struct flink_entry, 4097);
	struct flink flink = { .configuration = entries, .cached_files = entries };
	struct error err = { 0 };
	size_t i;

	expect_many("python.files", "/a", "", 1024, NULL);
	expect_many("python.files", "/a", "", 1025, "more than 1024 archives and python files");
	expect_many("python.archives", "/a", "", 1025, "more than 1024 archives and python files");
	expect_many("python.job-options", "A", ":1", 1024, NULL);
	expect_many("python.job-options", "A", ":1", 1025, "job-options: more than 1024 pairs");
	for (i = 0; i < 4097; i++)
		entries[i] = (struct flink_entry){ "k", "v" };
	for (i = 4096; i < 4098; i++) {
		_cleanup_(spec_deinit) struct spec one = { 0 }, other = { 0 };

		flink.configuration_count = i;
		flink.cached_file_count = 0;
		cr_expect_eq(flink_fill(&flink, &one, &err), i > 4096 ? -EINVAL : 0);
		flink.configuration_count = 0;
		flink.cached_file_count = i;
		cr_expect_eq(flink_fill(&flink, &other, &err), i > 4096 ? -EINVAL : 0);
	}
	cr_expect_str_eq(err.text, "flink: more than 4096 entries of one map");
	free(entries);
}

Test(flink, nothing_may_be_longer_than_a_request_lets_it)
{
	static const struct {
		const char *option, *begin;
		size_t longest;
		const char *refusal;
	} texts[] = {
		{ "python.executable", "", 4095, "python.executable is longer than 4095 bytes" },
		{ "python.pythonpath", "", 65536, "python.pythonpath is longer than 65536 bytes" },
		{ "python.job-options", "A:", 131071 + 2,
			"python.job-options is longer than 131071" },
		{ "python.requirements", "/", 4095,
			"python.requirements is longer than 4095 bytes" },
	};
	size_t i, more;

	for (i = 0; i < ARRAY_SIZE(texts); i++)
		for (more = 0; more < 2; more++) {
			_cleanup_free_ char *text = text_format("%s%0*d", texts[i].begin,
				(int)(texts[i].longest + more - strlen(texts[i].begin)), 0);
			struct example example = { { { texts[i].option, text } } };
			_cleanup_(spec_deinit) struct spec spec = { 0 };
			struct error err = { 0 };
			int r = fill(&example, &spec, &err);

			cr_expect_eq(r, more ? -EINVAL : 0, "%s: %s", texts[i].option, err.text);
			if (more)
				cr_expect(strstr(err.text, texts[i].refusal), "%s", err.text);
		}
}

Test(flink, a_refusal_never_tells_a_value_of_the_job_options)
{
	static const char *const texts[] = {
		"A:secret:x",
		"A:'secret",
		"A:'x'secret",
		"{A: secret",
		"{A: 'secret' x}",
		"{A: secret} x",
		"{A: [secret]}",
		"{A: \"secret\\q\"}",
		"A:1,A:secret",
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(texts); i++) {
		const struct example example = { { { "python.job-options", texts[i] } } };
		_cleanup_(spec_deinit) struct spec spec = { 0 };
		struct error err = { 0 };

		cr_expect_eq(fill(&example, &spec, &err), -EINVAL, "'%s'", texts[i]);
		cr_expect_null(strstr(err.text, "secret"), "%s", err.text);
	}
}
