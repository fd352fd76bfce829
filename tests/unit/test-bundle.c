#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>
#include "client/bundle-write.h"
#include "proto/bundle.h"
#include "tests/support/scratch.h"
#include "tests/support/trees.h"

#define DIGEST "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static char *scratch;
static struct bundle bundle;
static struct request request;
static struct error err;

static void set_up(void)
{
	scratch = scratch_make();
}

static void tear_down(void)
{
	bundle_deinit(&bundle);
	request_deinit(&request);
	scratch_remove(scratch);
}

TestSuite(bundle, .init = set_up, .fini = tear_down);

static char *in_scratch(const char *name)
{
	return text_format("%s/%s", scratch, name);
}

static int read_text(const char *text)
{
	_cleanup_free_ char *path = in_scratch("a.pyenv");

	trees_write(scratch, "a.pyenv", text, strlen(text), 0644);
	return bundle_read(path, &bundle, &err);
}

static void expect_refused(const char *text, const char *words)
{
	cr_expect_eq(read_text(text), -EINVAL, "%s", text);
	cr_expect(strstr(err.text, words), "'%s' has no '%s'", err.text, words);
	cr_expect_eq(bundle.word_count + bundle.file_count, 0, "nothing is left of it");
}

Test(bundle, says_what_options_say)
{
	const Pyenvd__V1__CreateEnvironmentRequest *message = &request.message;

	cr_assert_eq(read_text("pyenvd bundle 1\n"
			       "# a comment\n\n"
			       "archive /srv/a b.zip#venv\n"
			       "archive-copy /srv/c.zip\n"
			       "  python-file\t/srv/m.py#n.py\n"
			       "requirements /srv/r.txt#/srv/wheels\n"
			       "refresh\n"
			       "python venv/bin/python\n"
			       "python-path /opt/x:/opt/y\n"
			       "env A=--b c=\n"
			       "bytecode never"),
		0, "%s", err.text);
	cr_assert_eq(bundle_fill_request(&bundle, &request, &err), 0, "%s", err.text);
	cr_assert_eq(message->n_archives, 2);
	cr_expect_str_eq(message->archives[0]->path, "/srv/a b.zip");
	cr_expect_str_eq(message->archives[0]->target_dir, "venv");
	cr_expect_str_eq(message->archives[1]->target_dir, "c.zip");
	cr_expect(message->archives[1]->private_copy);
	cr_assert_eq(message->n_python_files, 1);
	cr_expect_str_eq(message->python_files[0]->name, "n.py");
	cr_expect_str_eq(message->requirements->path, "/srv/r.txt");
	cr_expect_str_eq(message->requirements->package_directory, "/srv/wheels");
	cr_expect(message->requirements->refresh);
	cr_expect_str_eq(message->python, "venv/bin/python");
	cr_expect_str_eq(message->python_path, "/opt/x:/opt/y");
	cr_assert_eq(message->n_variables, 1);
	cr_expect_str_eq(message->variables[0]->value, "--b c=");
	cr_expect_eq(message->bytecode, PYENVD__V1__BYTECODE__BYTECODE_NEVER);
}

Test(bundle, a_text_is_the_same_in_one_line)
{
	cr_assert_eq(bundle_parse("PYENVD_SPEC", "archive /a.zip#v; env X=1;python v/p\n", &bundle,
			     &err),
		0, "%s", err.text);
	cr_assert_eq(bundle_fill_request(&bundle, &request, &err), 0, "%s", err.text);
	cr_expect_str_eq(request.message.archives[0]->path, "/a.zip");
	cr_expect_str_eq(request.message.python, "v/p");
	bundle_deinit(&bundle);
	cr_expect_eq(bundle_parse("PYENVD_SPEC", "file a 1 " DIGEST, &bundle, &err), -EINVAL);
}

Test(bundle, files_that_it_holds_are_named_by_their_digests)
{
	const Pyenvd__V1__CreateEnvironmentRequest *message = &request.message;

	cr_assert_eq(
		read_text("pyenvd bundle 1\narchive a b.zip#v\npython-file sub/m.py\n"
			  "file a b.zip 3 " DIGEST "\nfile sub/m.py 2 " DIGEST "\ncontent\nabc\0"),
		-EINVAL, "a byte is missing");
	cr_assert_eq(
		read_text("pyenvd bundle 1\narchive a b.zip#v\npython-file sub/m.py\n"
			  "file a b.zip 3 " DIGEST "\nfile sub/m.py 2 " DIGEST "\ncontent\nabcde"),
		0, "%s", err.text);
	cr_assert_eq(bundle.file_count, 2);
	cr_expect_str_eq(bundle.files[0].name, "a b.zip");
	cr_expect_eq(bundle.files[1].offset, bundle.files[0].offset + 3);
	cr_expect_eq(bundle.files[1].offset + 2, bundle.size);
	cr_assert_eq(bundle_fill_request(&bundle, &request, &err), 0, "%s", err.text);
	cr_expect_str_eq(message->archives[0]->path, "");
	cr_expect_str_eq(message->archives[0]->sha256, DIGEST);
	cr_expect_str_eq(message->python_files[0]->sha256, DIGEST);
	cr_expect_str_eq(message->python_files[0]->name, "m.py");
}

Test(bundle, what_it_does_not_hold_is_refused)
{
	cr_assert_eq(read_text("pyenvd bundle 1\narchive other.zip\nfile a.zip 0 " DIGEST "\n"), 0);
	cr_expect_eq(bundle_fill_request(&bundle, &request, &err), -EINVAL);
	cr_expect(strstr(err.text, "'other.zip'"), "%s", err.text);
}

Test(bundle, bad_ones_are_refused_with_the_line)
{
	expect_refused("", "line 1");
	expect_refused("PK\3\4", "line 1");
	expect_refused("pyenvd bundle 2\n", "line 1");
	expect_refused("pyenvd bundle 1\nlabel x\n", "line 2: 'label'");
	expect_refused("pyenvd bundle 1\n\narchive\n", "line 3: 'archive' needs a value");
	expect_refused("pyenvd bundle 1\nrefresh now\n", "'refresh' takes no value");
	expect_refused("pyenvd bundle 1\nfile a.zip\n", "line 2: not 'file NAME SIZE SHA256'");
	expect_refused("pyenvd bundle 1\nfile /a.zip 1 " DIGEST "\n", "line 2");
	expect_refused("pyenvd bundle 1\nfile a.zip -1 " DIGEST "\n", "'-1' is no size");
	expect_refused("pyenvd bundle 1\nfile a.zip 1 abc\n", "'abc' is no SHA-256");
	expect_refused("pyenvd bundle 1\nfile a 9223372036854775807 " DIGEST
		       "\nfile b 9223372036854775807 " DIGEST "\n",
		"is no size");
	expect_refused("pyenvd bundle 1\ninclude a.txt\n", "line 2: not FILE#NAME");
	expect_refused("pyenvd bundle 1\ncontent\nx", "bytes, but by what it says");
}

Test(bundle, parts_need_requirements_that_are_held)
{
	cr_assert_eq(read_text("pyenvd bundle 1\nrequirements /r.txt\ninclude a#b\n"), 0);
	cr_expect_eq(bundle_fill_request(&bundle, &request, &err), -EINVAL);
	bundle_deinit(&bundle);
	request_deinit(&request);
	cr_assert_eq(read_text("pyenvd bundle 1\nrequirements r.txt\nno-index\n"), 0);
	cr_expect_eq(bundle_fill_request(&bundle, &request, &err), -EINVAL);
	cr_expect(strstr(err.text, "'r.txt'"), "%s", err.text);
}

/* ---- making */

static int write_bundle(bool by_name)
{
	_cleanup_free_ char *path = in_scratch("new.pyenv");
	_cleanup_close_ int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	int r;

	cr_assert_geq(fd, 0);
	r = bundle_write(&request, by_name, fd, &err);
	return r ? r : bundle_read(path, &bundle, &err);
}

static void say(const char *option, const char *value)
{
	const struct argument_set set = { request_arguments, &request };
	_cleanup_(arguments_deinit) struct arguments arguments = { .sets = &set, .set_count = 1 };
	_cleanup_free_ char *word = text_format("--%s=%s", option, value);

	cr_assert_eq(arguments_parse(&arguments, 1, &word, &err), 0, "%s", err.text);
}

Test(bundle, holds_each_content_once)
{
	_cleanup_free_ char *one = in_scratch("one/a.zip"), *two = in_scratch("two/a.zip"),
			    *same = in_scratch("same.zip"), *text = NULL;

	trees_write(scratch, "one/a.zip", "first", 5, 0644);
	trees_write(scratch, "two/a.zip", "second", 6, 0644);
	trees_write(scratch, "same.zip", "first", 5, 0644);
	say("archive", one);
	say("archive", two);
	say("python-file", same);
	say("env", "A=b");
	cr_assert_eq(write_bundle(false), 0, "%s", err.text);
	request_deinit(&request);
	cr_assert_eq(bundle.file_count, 2);
	cr_assert_eq(bundle_fill_request(&bundle, &request, &err), 0, "%s", err.text);
	cr_expect_str_eq(request.message.archives[0]->target_dir, "a.zip");
	cr_expect_str_eq(request.message.python_files[0]->name, "same.zip");
	cr_expect_str_eq(
		request.message.python_files[0]->sha256, request.message.archives[0]->sha256);
	text = trees_read(scratch, "new.pyenv");
	cr_expect(strstr(text, "\ncontent\nfirstsecond"), "%s", text);
}

Test(bundle, holds_requirements_wholly)
{
	_cleanup_free_ char *file = in_scratch("r.txt#"), *wheels = in_scratch("wheels"),
			    *value = text_format("%s%s", file, wheels);
	const Pyenvd__V1__UploadedRequirements *uploaded;

	trees_write(scratch, "r.txt", "-r sub/more.txt\na\n", 18, 0644);
	trees_write(scratch, "sub/more.txt", "b\n", 2, 0644);
	trees_write(scratch, "wheels/a-1-py3-none-any.whl", "wheel", 5, 0644);
	say("requirements", value);
	cr_assert_eq(write_bundle(false), 0, "%s", err.text);
	request_deinit(&request);
	cr_expect_eq(bundle.file_count, 3);
	cr_assert_eq(bundle_fill_request(&bundle, &request, &err), 0, "%s", err.text);
	uploaded = request.message.requirements->uploaded;
	cr_assert(uploaded);
	cr_expect_str_eq(request.message.requirements->path, "");
	cr_expect_str_eq(uploaded->name, "r.txt");
	cr_assert_eq(uploaded->n_includes, 1);
	cr_expect_str_eq(uploaded->includes[0]->name, "sub/more.txt");
	cr_assert_eq(uploaded->n_packages, 1);
	cr_expect_str_eq(uploaded->packages[0]->name, "a-1-py3-none-any.whl");
	cr_expect(uploaded->no_index);
}

Test(bundle, names_files_of_the_host)
{
	say("archive", "/no/such.zip#v");
	say("requirements", "/no/r.txt#/no/wheels");
	cr_assert_eq(write_bundle(true), 0, "%s", err.text);
	cr_expect_eq(bundle.file_count, 0);
	request_deinit(&request);
	cr_assert_eq(bundle_fill_request(&bundle, &request, &err), 0, "%s", err.text);
	cr_expect_str_eq(request.message.archives[0]->path, "/no/such.zip");
	cr_expect_str_eq(request.message.requirements->package_directory, "/no/wheels");
}

Test(bundle, what_it_cannot_say_or_hold_is_refused)
{
	say("archive", "/no/such.zip");
	cr_expect_eq(write_bundle(false), -ENOENT);
	cr_expect(strstr(err.text, "/no/such.zip"));
	request_deinit(&request);
	say("archive", scratch);
	cr_expect_eq(write_bundle(false), -EINVAL);
	request_deinit(&request);
	say("env", "A=b\nc");
	cr_expect_eq(write_bundle(true), -EINVAL);
	request_deinit(&request);
	say("label", "x");
	cr_expect_eq(write_bundle(true), -EINVAL);
}
