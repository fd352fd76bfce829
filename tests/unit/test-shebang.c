#include <criterion/criterion.h>
#include "daemon/worker/activate.h"
#include "daemon/worker/shebang.h"
#include "daemon/worker/shell-word.h"

#define NEW "/s/layers/abcdefgh/tree/venv/bin/python3"
#define BODY "import sys\n"
#define SHELL(word, more) "#!/bin/sh\n'''exec' " word more " \"$0\" \"$@\"\n' '''\n"
#define TEN "0123456789"
#define LONG "/" TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN

/* ---- interpreter lines */

/* @to is what becomes of @from with @interpreter; owned. NULL: it is none that is known. */
static char *retarget(const char *from, const char *interpreter, char **was)
{
	_cleanup_(shebang_deinit) struct shebang shebang;
	struct buffer out = { 0 };

	if (!shebang_parse(from, strlen(from), &shebang))
		return NULL;
	*was = text_copy(shebang.interpreter);
	shebang_format(&shebang, interpreter, &out);
	buffer_append_text(&out, from + shebang.size);
	return buffer_steal_text(&out);
}

Test(shebang, every_form_that_installers_write_is_known)
{
	static const struct {
		const char *from, *was, *to;
	} cases[] = {
		/* pip, uv, virtualenv: the usual one */
		{ "#!/b/venv/bin/python3\n" BODY, "/b/venv/bin/python3", "#!" NEW "\n" BODY },
		{ "#! /b/venv/bin/python\n" BODY, "/b/venv/bin/python", "#!" NEW "\n" BODY },
		{ "#!/b/bin/python -sE\n" BODY, "/b/bin/python", "#!" NEW " -sE\n" BODY },
		{ "#!/b/bin/python \t -X  utf8 \t\n" BODY, "/b/bin/python",
			"#!" NEW " -X  utf8\n" BODY },
		{ "#!/b/bin/python3\n", "/b/bin/python3", "#!" NEW "\n" },
		/* pip: too long; with blanks */
		{ SHELL("/b/long/bin/python3", "") BODY, "/b/long/bin/python3",
			SHELL("'" NEW "'", "") BODY },
		{ SHELL("\"/b/my venv's/bin/python3\"", " -E -s") BODY, "/b/my venv's/bin/python3",
			SHELL("'" NEW "'", " -E -s") BODY },
		/* uv and virtualenv */
		{ SHELL("'/b/it'\"'\"'s $x/bin/python'", "") BODY, "/b/it's $x/bin/python",
			SHELL("'" NEW "'", "") BODY },
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_free_ char *was = NULL;
		_cleanup_free_ char *is = retarget(cases[i].from, NEW, &was);

		cr_expect_str_eq(was, cases[i].was, "%s", cases[i].from);
		cr_expect_str_eq(is, cases[i].to, "%s", cases[i].from);
	}
}

Test(shebang, what_the_kernel_would_not_take_becomes_lines_for_a_shell)
{
	static const struct {
		const char *from, *interpreter, *to;
	} cases[] = {
		/* 255 bytes and the line's end, and one more */
		{ "#!/b/bin/python\n" BODY, LONG TEN TEN TEN TEN "/3456/python",
			"#!" LONG TEN TEN TEN TEN "/3456/python\n" BODY },
		{ "#!/b/bin/python\n" BODY, LONG TEN TEN TEN TEN "/34567/python",
			SHELL("'" LONG TEN TEN TEN TEN "/34567/python'", "") BODY },
		{ "#!/b/bin/python\n" BODY, "/a b/python", SHELL("'/a b/python'", "") BODY },
		{ "#!/b/bin/python -E -s\n" BODY, "/a b/python",
			SHELL("'/a b/python'", " '-E -s'") BODY },
		{ "#!/b/bin/python\n" BODY, "/it's a/python",
			SHELL("'/it'\"'\"'s a/python'", "") BODY },
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_free_ char *was = NULL;
		_cleanup_free_ char *is = retarget(cases[i].from, cases[i].interpreter, &was);

		cr_expect_str_eq(is, cases[i].to, "%s", cases[i].interpreter);
	}
}

Test(shebang, anything_else_is_none)
{
	static const char *const cases[] = {
		"",
		"#",
		"#!",
		"#!\n",
		"#! \t \n",
		"\177ELF\n",
		"import sys\n",
		" #!/b/bin/python\n",
		"#!python\n",
		"#!./python\n",
		"#!/b/bin/python", /* with nothing to run */
		"#!/b/bin/python\r\n",
		"#!/b/bin/pyth\001on\n",
		/* it finds out by itself: uv venv --relocatable */
		SHELL("\"$(dirname -- \"$(realpath -- \"$0\")\")\"/'python'", ""),
		SHELL("\"/b/$x/python\"", ""),
		SHELL("'/b/python", ""),
		SHELL("/b/*/python", ""),
		SHELL("python", ""),
		SHELL("''", ""),
		SHELL("", ""),
		/* almost */
		"#!/bin/sh\n'''exec' /b/python \"$@\"\n' '''\n",
		"#!/bin/sh\n'''exec' /b/python\"$0\" \"$@\"\n' '''\n",
		"#!/bin/sh\n'''exec' /b/python \"$0\" \"$@\"\nimport sys\n",
		"#!/bin/sh\n'''exec' /b/python \"$0\" \"$@\"",
		"#!/bin/sh\n'''exec' ",
		"#!/bin/sh\n'''exec' \n",
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		struct shebang shebang;

		/* Behind the end, so that reading past it is seen. */
		_cleanup_free_ char *exact = malloc(strlen(cases[i]) + 1);

		strcpy(exact, cases[i]);
		cr_expect_not(shebang_parse(exact, strlen(exact), &shebang), "%s", cases[i]);
	}
}

Test(shebang, a_nul_in_the_line_makes_it_none)
{
	static const char text[] = "#!/b/bin/python\0/x\n";
	static const char shell[] = SHELL("'/b/py\0thon'", "");
	struct shebang shebang;

	cr_expect_not(shebang_parse(text, sizeof(text) - 1, &shebang));
	cr_expect_not(shebang_parse(shell, sizeof(shell) - 1, &shebang));
}

/* ---- activate */

Test(activate, what_virtual_env_is_set_to_is_replaced_everywhere)
{
	static const struct {
		const char *from, *to;
	} cases[] = {
		/* venv of 3.9 to 3.11, of 3.13 with a path that needs quotes, of 3.12 */
		{ "  unset VIRTUAL_ENV\nVIRTUAL_ENV=\"/b/venv\"\nexport VIRTUAL_ENV\n",
			"  unset VIRTUAL_ENV\nVIRTUAL_ENV='/n'\nexport VIRTUAL_ENV\n" },
		{ "VIRTUAL_ENV='/b/it'\"'\"'s'\n", "VIRTUAL_ENV='/n'\n" },
		{ "\texport VIRTUAL_ENV=$(cygpath \"/b\")\nelse\n\texport VIRTUAL_ENV=\"/b\"\n",
			"\texport VIRTUAL_ENV=$(cygpath '/n')\nelse\n\texport VIRTUAL_ENV='/n'\n" },
		{ "\texport VIRTUAL_ENV=$(cygpath /b/v)\nelse\n\texport VIRTUAL_ENV=/b/v",
			"\texport VIRTUAL_ENV=$(cygpath '/n')\nelse\n\texport VIRTUAL_ENV='/n'" },
		/* virtualenv 21 */
		{ "if [ ! -d /b/v ] &&\n\tVIRTUAL_ENV=\"$CURRENT_ENV\"\nelse\n"
		  "\tVIRTUAL_ENV=/b/v\nfi; echo /b/v2 /b/v/x /a/b/v /b/v\n",
			"if [ ! -d '/n' ] &&\n\tVIRTUAL_ENV=\"$CURRENT_ENV\"\nelse\n"
			"\tVIRTUAL_ENV='/n'\nfi; echo /b/v2 /b/v/x /a/b/v '/n'\n" },
		/* csh */
		{ "source '/b/v'\"/\"'bin'\nsetenv VIRTUAL_ENV '/b/v'\nsetenv PATH \"x\"\n",
			"source '/n'\"/\"'bin'\nsetenv VIRTUAL_ENV '/n'\nsetenv PATH \"x\"\n" },
		/* fish */
		{ "set -e VIRTUAL_ENV\nset -gx VIRTUAL_ENV '/b/it'\\''s'\n",
			"set -e VIRTUAL_ENV\nset -gx VIRTUAL_ENV '/n'\n" },
		/* the same path in itself */
		{ "VIRTUAL_ENV=/v\n/v/v/v\n", "VIRTUAL_ENV='/n'\n/v/v/v\n" },
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		struct buffer out = { 0 };
		_cleanup_free_ char *is = NULL;

		cr_expect(activate_retarget(cases[i].from, strlen(cases[i].from), "/n", &out), "%s",
			cases[i].from);
		is = buffer_steal_text(&out);
		cr_expect_str_eq(is, cases[i].to, "%s", cases[i].from);
	}
}

Test(activate, one_that_finds_out_by_itself_stays)
{
	static const char *const cases[] = {
		"",
		"VIRTUAL_ENV=",
		"VIRTUAL_ENV=\n",
		"VIRTUAL_ENV=/\n",
		"VIRTUAL_ENV=venv\n",
		"VIRTUAL_ENV='/b\n",
		"MY_VIRTUAL_ENV=/b/v\n",
		"VIRTUAL_ENV_PROMPT='/b/v'\n",
		"VIRTUAL_ENV=''\"$(dirname -- \"$SCRIPT_PATH\")\"''\n",
		"set -gx VIRTUAL_ENV ''(dirname -- (status -f))''\n",
	};
	struct buffer out = { 0 };
	size_t i;

	for (i = 0; i < ARRAY_SIZE(cases); i++)
		cr_expect_not(
			activate_retarget(cases[i], strlen(cases[i]), "/n", &out), "%s", cases[i]);
	cr_expect_eq(out.size, 0);
}

Test(activate, the_new_path_is_quoted)
{
	static const char text[] = "VIRTUAL_ENV=/b\n";
	struct buffer out = { 0 };
	_cleanup_free_ char *is = NULL;

	cr_assert(activate_retarget(text, strlen(text), "/it's $HOME", &out));
	is = buffer_steal_text(&out);
	cr_expect_str_eq(is, "VIRTUAL_ENV='/it'\"'\"'s $HOME'\n");
}

/* ---- words */

Test(shell_word, what_is_formatted_is_parsed)
{
	static const char *const values[] = { "", "/a", "it's", "''", "a b $c `d` \"e\" *",
		"\xc3\xa4" };
	size_t i;

	for (i = 0; i < ARRAY_SIZE(values); i++) {
		_cleanup_buffer_ struct buffer word = { 0 };
		struct buffer value = { 0 };
		_cleanup_free_ char *is = NULL;

		shell_word_format(values[i], &word);
		cr_expect_eq(shell_word_parse((char *)word.data, word.size, &value), word.size);
		is = buffer_steal_text(&value);
		cr_expect_str_eq(is, values[i]);
	}
}
