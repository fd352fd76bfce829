#include "proto/flink-conf.h"

#include <criterion/criterion.h>
#include <errno.h>
#include "base/buffer.h"

static void on_option(void *data, const char *key, const char *value)
{
	buffer_format(data, "%s=<%s> ", key, value);
}

/* @expected: what was found; or, with a "line", part of the refusal. */
static void expect(const char *text, const char *expected)
{
	_cleanup_buffer_ struct buffer buffer = { 0 };
	_cleanup_free_ char *copy = text_copy(text), *found = NULL;
	struct error err = { 0 };
	int r = flink_conf_parse(copy, on_option, &buffer, &err);

	found = buffer_steal_text(&buffer);
	if (text_starts_with(expected, "line")) {
		cr_expect_eq(r, -EINVAL, "'%s' gave %s", text, found);
		cr_expect(text_starts_with(err.text, expected), "'%s': %s", text, err.text);
		return;
	}
	cr_expect_eq(r, 0, "'%s' is refused: %s", text, err.text);
	cr_expect_str_eq(found, expected, "'%s' gave %s", text, found);
}

Test(flink_conf, lines_are_keys_and_values)
{
	expect("", "");
	expect("---\n\n  \n# python.files: /x\n", "");
	expect("python.files: /x", "python.files=</x> ");
	expect("python.files: /x\r\npython.archives :  /y \n",
		"python.files=</x> python.archives=</y> ");
	expect("python.files:\t/x\n", "python.files=</x> ");
	expect("python.a: x: y\n", "python.a=<x: y> ");
	expect("python.a: x:y\n", "python.a=<x:y> ");
	expect("python.a: 1\npython.a: 2\n", "python.a=<1> python.a=<2> ");
	expect("python.a:\npython.b: \npython.c: # x\n", "");
	expect("'python.a': 1\n\"python.b\": 2\n", "python.a=<1> python.b=<2> ");
	expect("python.a: {k: 'v', l: w}\n", "python.a=<{k: 'v', l: w}> ");
}

Test(flink_conf, a_hash_begins_a_comment_behind_a_space_only)
{
	expect("python.archives: /a.zip#venv,/b.zip#b # #c\n",
		"python.archives=</a.zip#venv,/b.zip#b> ");
	expect("python.a: 'x # y' # z\n", "python.a=<x # y> ");
	expect("  # python: x\npython.a: 1\n", "python.a=<1> ");
}

Test(flink_conf, a_value_may_be_in_quotes)
{
	expect("python.a: ''\n", "python.a=<> ");
	expect("python.a: 'it''s'\n", "python.a=<it's> ");
	expect("python.a: \"x \\\"y\\\\\"\n", "python.a=<x \"y\\> ");
	expect("python.a: 'A:\"1\"'\n", "python.a=<A:\"1\"> ");
	expect("python.a: 'x\n", "line 1: a quote is not closed");
	expect("python.a: '\n", "line 1: a quote is not closed");
	expect("python.a: \"x\\\n", "line 1: a quote is not closed");
	expect("python.a: \"x\\n\"\n", "line 1: a quote is not closed, or holds an escape");
	expect("python.a: 'x' y\n", "line 1: something follows the closing quote");
	expect("'python.a: 1\n", "line 1: a quote is not closed");
}

Test(flink_conf, mappings_may_nest)
{
	expect("python:\n  files: /x\n  internal:\n    files-key-map: '{}'\n  a: 1\nb: 2\n",
		"python.files=</x> python.internal.files-key-map=<{}> python.a=<1> ");
	expect("python.job-options:\n    A: 1\n    B: 2\npython.c: 3\n",
		"python.job-options.A=<1> python.job-options.B=<2> python.c=<3> ");
	expect("env:\n  python:\n    files: /x\n  python.a: 1\n", "");
	expect("a:\n b:\n  c:\n   d:\n    e:\n     f:\n      g:\n       h:\n        i:\n         "
	       "j:\n"
	       "          k:\n           l:\n            m:\n             n:\n              o:\n"
	       "               p:\n                q:\n",
		"line 17: nested too deep");
}

Test(flink_conf, what_is_not_of_python_may_be_any_yaml)
{
	expect("env:\n  java:\n    opts: |\n      -Dx\n      python.a\njars:\n- a\n- b: c\n  - d\n"
	       "text: &x !!str \"\\q\nother: 'not closed\npython.a: 1\n",
		"python.a=<1> ");
}

Test(flink_conf, what_is_of_python_must_be_simple)
{
	expect("a: b\nc\n", "line 2: not 'key: value'");
	expect("python.files=/x\n", "line 1: not 'key: value'");
	expect("python.files:/x\n", "line 1: not 'key: value'");
	expect("python.files:\n  - /x\n", "line 2: not 'key: value'");
	expect("python.files:\n- /x\n", "line 2: not 'key: value'");
	expect("python.files: /x,\n  /y\n", "line 2: not 'key: value'");
	expect("python.files: |\n  /x\n", "line 1: only a plain or quoted value");
	expect("python.files: &x /x\n", "line 1: only a plain or quoted value");
	expect("python: {files: /x}\n", "line 1: options of Python must be lines of their own");
}
