#include <criterion/criterion.h>
#include <errno.h>
#include "proto/requirements-line.h"
#include "proto/requirements-scan.h"
#include "proto/requirements-spec.h"

#define HASH "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define COMMIT "0123456789abcdef0123456789abcdef01234567"

static struct error err;

/* ---- lines */

/* All lines of a text, each as "NUMBER|LINE\n", or what is wrong; owned. */
static char *scan_text(const char *text, size_t size)
{
	struct requirements_scan scan = { .text = text, .size = size };
	struct buffer found = { 0 };
	char *line;
	int r;

	while ((r = requirements_scan_next(&scan, &line, &err)) == 0 && line) {
		buffer_format(&found, "%u|%s\n", scan.number, line);
		free(line);
	}
	if (r)
		buffer_format(&found, "%u: %s", scan.number, err.text);
	return buffer_steal_text(&found);
}

Test(requirements_scan, lines_are_joined_and_stripped_as_pip_does_it)
{
	static const struct {
		const char *text, *lines;
	} cases[] = {
		{ "", "" },
		{ "\n \t\n# all comment\n\t # more\n", "" },
		{ "a\nb", "1|a\n2|b\n" },
		{ "a\r\nb\rc\n\r\nd", "1|a\n2|b\n3|c\n5|d\n" },
		{ "\xef\xbb\xbfnumpy\n", "1|numpy\n" },
		{ "  a == 1 \t# why\n", "1|a == 1\n" },
		{ "a#b\n", "1|a#b\n" },
		{ "https://host/x#egg=a # b\n", "1|https://host/x#egg=a\n" },
		{ "a \\\n  --b \\\r\n\t--c\nd", "1|a   --b \t--c\n4|d\n" },
		{ "a==\\\n1.0\n", "1|a==1.0\n" },
		{ "a \\\n\nb\n", "1|a\n3|b\n" },
		{ "a \\\n# comment \\\nb\n", "1|a\n3|b\n" },
		{ "a\\\n#b\nc", "1|a\n3|c\n" },
		{ "# comment \\\na\n", "2|a\n" },
		{ "a \\", "1|a\n" },
		{ "\\\n\\\na", "1|a\n" },
		{ "# \xc2\xa0 caf\xc3\xa9 ${HOME} \\ \n-r caf\xc3\xa9.txt\n",
			"2|-r caf\xc3\xa9.txt\n" },
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_free_ char *found = scan_text(cases[i].text, strlen(cases[i].text));

		cr_expect_str_eq(found, cases[i].lines, "%s", cases[i].text);
	}
}

Test(requirements_scan, what_two_readers_would_read_in_two_ways_is_refused)
{
	static const struct {
		const char *text;
		size_t size;
		const char *wrong;
	} cases[] = {
		{ "a\nb \\ \nc", 0, "1|a\n2: a backslash that does not end its line" },
		{ "a\\\\\nb", 0, "1: a backslash that does not end its line" },
		{ "a # b \\\nc", 0, "1: a comment that ends in a backslash" },
		{ "\nhttps://u:${TOKEN}@host/", 0,
			"2: a variable, '${TOKEN…': none is expanded here" },
		{ "${pass-word", 0, "1: a variable, '${pass…': none is expanded here" },
		{ "a\0b", 3, "1: the control character U+0000" },
		{ "# a\x0c-e x", 0, "1: the control character U+000C" },
		{ "a\x1c", 0, "1: the control character U+001C" },
		{ "a # \xc2\x85-e x", 0, "1: the control character U+0085" },
		{ "# \xe2\x80\xa8-e x", 0, "1: the control character U+2028" },
		{ "a\n\xff\xfe", 0, "1|a\n2: not UTF-8" },
		{ "a \\\n\xc3(", 0, "1: not UTF-8" },
		{ "a\xc2\xa0# b", 0, "1: the space U+00A0, which is not the usual one" },
		{ "a\xe3\x80\x80-e x", 0, "1: the space U+3000, which is not the usual one" },
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_free_ char *found = scan_text(
			cases[i].text, cases[i].size ? cases[i].size : strlen(cases[i].text));

		cr_expect_str_eq(found, cases[i].wrong, "%s", cases[i].text);
		cr_expect_str_eq(err.reason, "REQUIREMENTS_INVALID");
	}
}

/* ---- what is accepted, and how it is written again */

static void expect_form(const char *text, bool offline, bool is_public, const char *form)
{
	_cleanup_(requirements_line_deinit) struct requirements_line line = { 0 };
	_cleanup_buffer_ struct buffer found = { 0 };
	_cleanup_free_ char *written = NULL;
	int r = requirements_line_parse(text, offline, &line, &err);

	cr_assert_eq(r, 0, "%s: %s", text, err.text);
	requirements_line_format(&line, is_public, &found);
	written = buffer_steal_text(&found);
	cr_expect_str_eq(written, form, "%s: %s", text, written);
}

Test(requirements_line, each_form_has_one_way_to_be_written)
{
	static const struct {
		const char *text, *form; /* NULL: the same */
	} cases[] = {
		{ "numpy", NULL },
		{ "numpy==2.1", NULL },
		{ "a", NULL },
		{ "Foo.Bar_baz-2", NULL },
		{ "a >= 1.0 , < 2 , != 1.5.*", NULL },
		{ "a ~= 1.4.2", NULL },
		{ "a===1.0+local-2", NULL },
		{ "a==1!2.0", NULL },
		{ "a (>=1,<2)", NULL },
		{ "a[b]", NULL },
		{ "a [b , c.d] ==1; python_version<'3' and os_name == \"posix\"", NULL },
		{ "a; extra == 'x'", NULL },
		{ "a@https://host/a.whl", NULL },
		{ "a [b] @ https://host:8080/a.whl#sha256=1 ; python_version < '3'", NULL },
		{ "https://host/a-1-py3-none-any.whl", NULL },
		{ "HTTP://[::1]:80/a.zip ; os_name=='nt'", NULL },
		{ "git+https://host/a.git@v1#egg=a&subdirectory=b", NULL },
		{ "a @ git+ssh://git@host/a.git", NULL },
		{ "hg+http://host/a#egg=a", NULL },
		{ "a==1 --hash=" HASH, NULL },
		{ "a==1   --hash " HASH "\t--hash='" HASH "'",
			"a==1 --hash=" HASH " --hash=" HASH },
		{ "a==1 --global-option=\"--quiet\" --global-option --no-user-cfg",
			"a==1 --global-option=--quiet --global-option=--no-user-cfg" },
		{ "a --config-settings k=v -C k=w --config-setting=l=\"x\"",
			"a --config-settings=k=v --config-settings=k=w --config-settings=l=x" },
		{ "-i https://host/simple", "--index-url=https://host/simple" },
		{ "-ihttps://host/simple", "--index-url=https://host/simple" },
		{ "--pypi-url https://host/", "--index-url=https://host/" },
		{ "--index-url='https://u:p@host/simple'", "--index-url=https://u:p@host/simple" },
		{ "--extra-index-url http://host", "--extra-index-url=http://host" },
		{ "-f https://host/torch_stable.html",
			"--find-links=https://host/torch_stable.html" },
		{ "--no-index", NULL },
		{ "--no-binary :all:", "--no-binary=:all:" },
		{ "--only-binary=numpy,pandas", NULL },
		{ "--prefer-binary", NULL },
		{ "--require-hashes", NULL },
		{ "--pre", NULL },
		{ "--trusted-host host:8080", "--trusted-host=host:8080" },
		{ "--use-feature=fast-deps", NULL },
		/* pip's order of effects. */
		{ "--extra-index-url https://b --pre -i https://a",
			"--index-url=https://a\n--extra-index-url=https://b\n--pre" },
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		const char *form = cases[i].form ? cases[i].form : cases[i].text;
		_cleanup_free_ char *line = text_format("%s\n", form);

		expect_form(cases[i].text, false, false, line);
	}
}

Test(requirements_line, users_and_passwords_are_left_out_in_public)
{
	static const struct {
		const char *text, *form;
	} cases[] = {
		{ "-i https://user:tok%40en@host:80/simple", "--index-url=https://host:80/simple" },
		{ "-i https://a@b:c@host/x@y", "--index-url=https://host/x@y" },
		{ "a @ git+ssh://git@host/a.git@v1", "a @ git+ssh://host/a.git@v1" },
		{ "https://u@host?a@b#c@d", "https://host?a@b#c@d" },
		{ "https://u:p@[::1]/a ; a == 'https://v:w@host' or b == \"http://x@y\"",
			"https://[::1]/a ; a == 'https://host' or b == \"http://y\"" },
		{ "a -C k=https://u:p@host/", "a --config-settings=k=https://host/" },
		{ "a @ https://host/b", "a @ https://host/b" },
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_free_ char *line = text_format("%s\n", cases[i].form);

		expect_form(cases[i].text, false, true, line);
	}
}

Test(requirements_line, what_is_shown_of_a_requirement_has_no_option_and_no_url)
{
	static const struct {
		const char *text, *specifier; /* NULL: nothing */
	} cases[] = {
		{ "numpy==2.1", "numpy==2.1" },
		{ "a[x,y] >= 1, < 2 ; python_version < '3.9'",
			"a[x,y] >= 1, < 2 ; python_version < '3.9'" },
		{ "a==1 --hash=" HASH, "a==1" },
		{ "a[x] @ https://ann:secret@h/a.zip", "a[x] @ …" },
		{ "a@https://ann:secret@h/a.zip ; python_version < '3'", "a@ …" },
		{ "https://ann:secret@h/a.zip", NULL },
		{ "git+https://secret@h/a", NULL },
		{ "a==1 ; 'https://ann:secret@h/' != ''", "a==1 ; …" },
		{ "--index-url https://ann:secret@h/", NULL },
		{ "-r other.txt", NULL },
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_(requirements_line_deinit) struct requirements_line line = { 0 };
		_cleanup_free_ char *specifier = NULL;

		cr_assert_eq(requirements_line_parse(cases[i].text, false, &line, &err), 0,
			"%s: %s", cases[i].text, err.text);
		specifier = requirements_line_specifier(&line);
		cr_expect_eq(!specifier, !cases[i].specifier, "%s", cases[i].text);
		cr_expect_str_eq(specifier ?: "", cases[i].specifier ?: "");
	}
}

Test(requirements_line, offline_forgets_where_to_look)
{
	expect_form("--pre -i https://host --no-index --trusted-host a -f https://b", true, false,
		"--pre\n--no-index\n");
	expect_form("--extra-index-url=https://host", true, false, "");
	expect_form("a==1 --hash=" HASH, true, false, "a==1 --hash=" HASH "\n");
}

Test(requirements_line, files_are_named)
{
	static const struct {
		const char *text;
		enum requirements_kind kind;
		const char *file;
	} cases[] = {
		{ "-r a.txt", REQUIREMENTS_INCLUDE, "a.txt" },
		{ "-ra.txt", REQUIREMENTS_INCLUDE, "a.txt" },
		{ "-r\t'with space.txt'", REQUIREMENTS_INCLUDE, "with space.txt" },
		{ "--requirement=../a.txt", REQUIREMENTS_INCLUDE, "../a.txt" },
		{ "-c /etc/constraints.txt", REQUIREMENTS_CONSTRAINT, "/etc/constraints.txt" },
		{ "--constraint c", REQUIREMENTS_CONSTRAINT, "c" },
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_(requirements_line_deinit) struct requirements_line line = { 0 };

		cr_assert_eq(requirements_line_parse(cases[i].text, true, &line, &err), 0, "%s: %s",
			cases[i].text, err.text);
		cr_expect_eq(line.kind, cases[i].kind);
		cr_expect_str_eq(line.text, cases[i].file);
	}
}

/* ---- what is known of it */

Test(requirements_line, it_is_told_what_is_pinned_and_what_only_pip_knows)
{
	static const struct {
		const char *text;
		bool is_pinned, is_url, needs_pip;
	} cases[] = {
		{ "a==1", true, false, false },
		{ "a == 1.0.post1 ; os_name == 'x'", true, false, false },
		{ "a===x", true, false, false },
		{ "a>=1,==1.5", true, false, false },
		{ "a (==1)", true, false, false },
		{ "a", false, false, false },
		{ "a==1.*", false, false, false },
		{ "a>=1", false, false, false },
		{ "a!=1", false, false, false },
		{ "a~=1.0", false, false, false },
		{ "a; python_version == '3.11'", false, false, false },
		{ "a>=1 --hash=" HASH, false, false, false },
		{ "a==1 --global-option=-q", true, false, true },
		{ "a @ https://host/a.whl", false, true, false },
		{ "a @ https://host/a.whl --hash=" HASH, true, true, false },
		{ "a @ https://host/a.whl#egg=a&sha256="
		  "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
			true, true, false },
		{ "a @ https://host/a.whl#sha256=aaaa", false, true, false },
		{ "git+https://u@host/a@" COMMIT "#egg=a", true, true, false },
		{ "git+https://host/a@main", false, true, false },
		{ "git+https://host/a@" COMMIT "0", false, true, false },
		{ "https://host/a@" COMMIT, false, true, false },
		{ "hg+https://host/a@" COMMIT, false, true, true },
		{ "a -C k=v", false, false, true },
		{ "--no-binary=a", false, false, false },
		{ "--no-binary=a,b", false, false, true },
		{ "--pre", false, false, true },
		{ "--prefer-binary", false, false, true },
		{ "--trusted-host a", false, false, true },
		{ "--no-index", false, false, false },
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_(requirements_line_deinit) struct requirements_line line = { 0 };

		cr_assert_eq(requirements_line_parse(cases[i].text, false, &line, &err), 0,
			"%s: %s", cases[i].text, err.text);
		cr_expect_eq(line.is_pinned, cases[i].is_pinned, "%s", cases[i].text);
		cr_expect_eq(line.is_url, cases[i].is_url, "%s", cases[i].text);
		cr_expect_eq(line.needs_pip, cases[i].needs_pip, "%s", cases[i].text);
	}
}

/* ---- what is refused */

static void expect_refused(const char *text, bool offline, const char *words)
{
	struct requirements_line line;
	int r = requirements_line_parse(text, offline, &line, &err);

	cr_assert_eq(r, -EINVAL, "%s was accepted", text);
	cr_expect_str_eq(err.reason, "REQUIREMENTS_INVALID", "%s", text);
	cr_expect(strstr(err.text, words), "%s: %s", text, err.text);
	cr_expect_not(strstr(err.text, "secret"), "%s: %s", text, err.text);
}

Test(requirements_line, what_is_on_the_disk_already_is_refused)
{
	static const struct {
		const char *text, *words;
	} cases[] = {
		{ "-e .", "'--editable': an editable install" },
		{ "-egit+https://host/a#egg=a", "'--editable': an editable install" },
		{ "--editable=./a", "'--editable': an editable install" },
		{ "--editable 'a b'", "'--editable': an editable install" },
		{ ".", "'.' names a local path" },
		{ "./a", "'./a' names a local path" },
		{ "./a[b] ; c == 'd'", "names a local path" },
		{ "../a", "'../a' names a local path" },
		{ "/a/b.whl", "'/a/b.whl' names a local path" },
		{ "~/a", "'~/a' names a local path" },
		{ "a/b", "'a/b' names a local path" },
		{ "a-1.0-py3-none-any.whl", "'a-1.0-py3-none-any.whl' names a local path" },
		{ "a-1.0.TAR.GZ", "names a local path" },
		{ "a.zip[b] ; c == 'd'", "names a local path" },
		{ "a==1.0.tar.bz2", "'a…' names a local path" },
		{ "file:a", "'file…' names a local path" },
		{ "FILE:///a/b", "names a local path" },
		{ "git+file:///a#egg=a", "names a local path" },
		{ "a @ file:///secret/b.whl", "'a' names a local path" },
		{ "a @ ./b", "'a' names a local path" },
		{ "a@/b", "'a…' names a local path" },
		{ "a @ ~/b", "'a' names a local path" },
		{ "-f ./a", "'--find-links' names a local path" },
		{ "-f a", "'--find-links' names a local path" },
		{ "--find-links=file:///a", "'--find-links' names a local path" },
		{ "-i ./a", "'--index-url' names a local path" },
		{ "--extra-index-url file:///a", "'--extra-index-url' names a local path" },
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		expect_refused(cases[i].text, false, cases[i].words);
		expect_refused(cases[i].text, true, cases[i].words);
	}
}

Test(requirements_line, what_is_not_known_or_has_two_readings_is_refused)
{
	static const struct {
		const char *text, *words;
	} cases[] = {
		{ "-r https://secret@host/a.txt", "'--requirement' with a URL" },
		{ "-c HTTP://host/a.txt", "'--constraint' with a URL" },
		{ "-r file:a.txt", "'--requirement' with a URL: give the file's path" },
		{ "--unknown=secret", "the option '--unknown' is not known" },
		{ "--edit=.", "the option '--edit' is not known" },
		{ "--index a", "the option '--index' is not known" },
		{ "--install-option=a", "the option '--install-option' is not known" },
		{ "-xsecret", "the option '-x' is not known" },
		{ "-\xc3\xa9", "the option '-' is not known" },
		{ "-", "the option '-' is not known" },
		{ "--", "the option '--' is not known" },
		{ "-r=a.txt", "'-r=': '--requirement=' is meant" },
		{ "-r", "'--requirement' has no value" },
		{ "-r ''", "'--requirement' has an empty value" },
		{ "--pre=yes", "'--pre' takes no value" },
		{ "--pre secret", "a word behind an option" },
		{ "-r a.txt b.txt", "a word behind an option" },
		{ "-r a.txt -r b.txt", "'--requirement' needs a line of its own" },
		{ "--pre -c a.txt", "'--constraint' needs a line of its own" },
		{ "-r 'a.txt", "a quote that does not end" },
		{ "a --pre", "'--pre' needs a line of its own" },
		{ "a -r b.txt", "'--requirement' needs a line of its own" },
		{ "a -e ./b", "'--editable': an editable install" },
		{ "a == '-e ./b'", "'a' is followed by something that is no version" },
		{ "--hash=" HASH, "'--hash' belongs behind a requirement" },
		{ "a --hash=md5:aaaa", "'--hash' takes sha256:" },
		{ "a --hash=sha256:aaaa", "'--hash' takes sha256:" },
		{ "a --hash=" HASH "a", "'--hash' takes sha256:" },
		{ "a -C k", "'--config-settings' takes KEY=VALUE" },
		{ "a -C 'k=a b'", "'--config-settings' has a value with a space" },
		{ "a --global-option=\"a'b\"",
			"'--global-option' has a value with a space, quote" },
		{ "--no-binary=a;b", "'--no-binary' takes ':all:'" },
		{ "--no-binary=-r", "'--no-binary' takes ':all:'" },
		{ "--trusted-host secret@host", "'--trusted-host' takes a host" },
		{ "-i ftp://host", "begins with http:// or https://" },
		{ "-i git+https://host", "begins with http:// or https://" },
		{ "-i https:host", "begins with http:// or https://" },
		{ "-i https://u:sec/ret@host",
			"'--index-url' has a URL whose host cannot be told" },
		{ "-i https:///u:secret@host",
			"'--index-url' has a URL whose host cannot be told" },
		/* Where the first ends cannot be told. */
		{ "a --global-option=https://u@host,https://secret@host",
			"'--global-option' has a URL whose host cannot be told" },
		{ "https://u:p?secret@host", "has a URL whose host cannot be told" },
		{ "a @ https://u:p#secret@host", "'a' has a URL whose host cannot be told" },
		{ "a @ https://host:/x", "'a' has a URL whose host cannot be told" },
		{ "a @ https://", "'a' has a URL whose host cannot be told" },
		{ "a @ https://h\xc3\xb6st/", "'a' has a URL whose host cannot be told" },
		{ "a @ https://host/b;c=='d'", "a marker needs a space before its ';'" },
		{ "a @ https://host/'b'", "'a' has a URL with a quote" },
		{ "a @ https://host/b c", "'a' has a URL with a space in it" },
		{ "a @", "'a' has a URL of a kind that is not known" },
		{ "a @ b", "'a' has a URL of a kind that is not known" },
		{ "a @ ftp://host/b", "'a' has a URL of a kind that is not known" },
		{ "git@host:secret/b.git", "'git…' has a URL of a kind that is not known" },
		{ "cvs+https://host/b", "has a URL of a kind that is not known" },
		{ "a; b == 'https://u:/secret@host'", "'a' has a marker with a URL" },
		{ "a; b == 'c", "'a' has a marker with a quote that does not end" },
		{ "a;", "'a' has nothing behind its ';'" },
		{ "a=1", "'a…' has '=' before its version, where '==' is meant" },
		{ "password = secret", "'password' has '=' before its version" },
		{ "machine host login secret",
			"'machine' is followed by something that is no version" },
		{ "a==", "'a…' is followed by something" },
		{ "a>=1,", "'a…' is followed by something" },
		{ "a>=1 <2", "'a…' is followed by something" },
		{ "a (>=1", "'a' is followed by something" },
		{ "a => 1", "'a' has '=' before its version" },
		{ "a[", "'a…' has extras that are not names" },
		{ "a[b,]", "'a…' has extras that are not names" },
		{ "a[b c]", "'a…' has extras that are not names" },
		{ "_a", "'_a' does not begin with a package's name" },
		{ "a-", "'a-' does not begin with a package's name" },
		{ "[a]", "'…' does not begin with a package's name" },
		{ "\xc3\xa9t\xc3\xa9", "does not begin with a package's name" },
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(cases); i++)
		expect_refused(cases[i].text, false, cases[i].words);
}

Test(requirements_line, offline_refuses_urls)
{
	expect_refused("a @ https://secret@host/a.whl", true, "a requirement that is a URL");
	expect_refused("git+https://secret@host/a", true, "a requirement that is a URL");
}

Test(requirements_spec, archives_are_known_by_their_names)
{
	static const char *const archives[] = { "a.whl", "a.tar.gz", "a.zip", "a.tar.bz2",
		"a.tar.xz", "a.tgz", "a.tar", "a.Whl", "a.txz" };
	static const char *const others[] = { ".whl", "a.whl.metadata", "a.gz", "whl", "a.txt",
		"index.html", "" };
	size_t i;

	for (i = 0; i < ARRAY_SIZE(archives); i++)
		cr_expect(requirements_spec_is_archive(archives[i], strlen(archives[i])));
	for (i = 0; i < ARRAY_SIZE(others); i++)
		cr_expect_not(requirements_spec_is_archive(others[i], strlen(others[i])));
}
