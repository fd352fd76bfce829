#include <criterion/criterion.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include "daemon/worker/bytecode.h"
#include "tests/support/extracted.h"
#include "tests/support/trees.h"

#define PYTHON "/usr/bin/python3"

static struct extracted layer;
static struct report *report;
static struct bytecode job;
static struct error err;

static void set_up(void)
{
	if (access(PYTHON, X_OK))
		cr_skip("there is no " PYTHON);
	extracted_init(&layer, &(struct place_limits){ 0 });
	report = report_new(&(struct report_sink){ 0 });
	job = (struct bytecode){
		.place = layer.place,
		.report = report,
		.directory = layer.directory,
		.tree_fd = layer.tree_fd,
		.threads = 2,
		.keep_fd = -1,
	};
}

static void tear_down(void)
{
	report_free(report);
	extracted_deinit(&layer);
}

static void add_file(const char *name, const void *data, size_t size)
{
	extracted_add_file(&layer, name, data, size, false);
}

static void add_text(const char *name, const char *text)
{
	add_file(name, text, strlen(text));
}

static void add_link(const char *name, const char *target)
{
	extracted_add_link(&layer, name, PLACE_SYMLINK, target);
}

static void add_virtualenv(const char *root, const char *python)
{
	_cleanup_free_ char *config = text_format("%spyvenv.cfg", root);
	_cleanup_free_ char *link = text_format("%sbin/python", root);

	add_text(config, "home = /usr/bin\n");
	add_link(link, python);
}

static void make(void)
{
	extracted_finish(&layer);
	cr_assert_eq(bytecode_make(&job, &err), 0, "%s", err.text);
}

/* The one .pyc for @stem in @package, whatever Python made it; owned. */
static char *find_cached(const char *package, const char *stem)
{
	size_t count = place_sort(layer.place), i;
	_cleanup_free_ char *start = text_format("%s__pycache__/%s.cpython-", package, stem);

	for (i = 0; i < count; i++) {
		struct place_view view = place_get(layer.place, i);

		if (view.name && text_starts_with(view.name, start))
			return text_copy(view.name);
	}
	return NULL;
}

static bool has_cached(const char *package, const char *stem)
{
	_cleanup_free_ char *name = find_cached(package, stem);

	return name;
}

TestSuite(bytecode, .init = set_up, .fini = tear_down);

Test(bytecode, the_files_of_a_virtualenv_are_compiled)
{
	_cleanup_free_ char *name = NULL, *path = NULL, *run = NULL;
	struct stat st;

	add_virtualenv("venv/", PYTHON);
	add_text("venv/lib/pkg/__init__.py", "answer = 42\n");
	add_text("venv/lib/pkg/broken.py", "def (\n");
	add_file("venv/lib/pkg/nul.py", "a = '\0'\n", 9);
	add_text("other/b.py", "b = 1\n");
	make();
	cr_expect_eq(job.compiled, 1, "%lu '%s'", job.compiled, job.note);
	cr_expect_str_eq(job.note, "");
	name = find_cached("venv/lib/pkg/", "__init__");
	cr_assert_not_null(name);
	cr_expect_not(has_cached("venv/lib/pkg/", "broken"));
	cr_expect_not(has_cached("other/", "b"));
	path = text_format("%s/%s", layer.tree, name);
	cr_assert_eq(stat(path, &st), 0);
	cr_expect_eq(st.st_mode & 07777, 0444);
	cr_expect_eq(st.st_mtime, EXTRACTED_MTIME);
	/* Python takes it for its own: without it, there would be nothing to import. */
	run = text_format(PYTHON
		" -B -c 'import sys; sys.path.insert(0, \"%s/venv/lib\"); "
		"import importlib.util as u; import pkg; c = pkg.__loader__.get_code(\"pkg\"); "
		"h = open(pkg.__cached__, \"rb\").read(16); "
		"s = __import__(\"os\").stat(pkg.__file__); "
		"ok = h == u.MAGIC_NUMBER + bytes(4) + int(s.st_mtime).to_bytes(4, \"little\") "
		"+ s.st_size.to_bytes(4, \"little\") and c.co_filename == pkg.__file__; "
		"sys.exit(not ok)'",
		layer.tree);
	cr_expect_eq(system(run), 0);
}

Test(bytecode, what_is_fresh_is_left_and_what_is_stale_made_again)
{
	_cleanup_free_ char *a = NULL, *b = NULL, *fresh = NULL, *stale = NULL, *path = NULL;
	_cleanup_buffer_ struct buffer content = { 0 };

	add_virtualenv("", PYTHON);
	add_text("a.py", "a = 1\n");
	add_text("b.py", "b = 1\n");
	make();
	cr_assert_eq(job.compiled, 2);
	a = find_cached("", "a");
	b = find_cached("", "b");
	path = text_format("%s/%s", layer.tree, a);
	cr_assert_eq(fs_read_file(AT_FDCWD, path, 65536, &content), 0);
	fresh = text_copy(a);
	stale = text_copy(b);

	tear_down();
	set_up();
	add_virtualenv("", PYTHON);
	add_text("a.py", "a = 1\n");
	add_text("b.py", "b = 1\n");
	add_file(fresh, content.data, content.size);
	content.data[8] ^= 1;
	add_file(stale, content.data, content.size);
	make();
	cr_expect_eq(job.compiled, 1);
	cr_expect(has_cached("", "a"));
	cr_expect(has_cached("", "b"));
}

Test(bytecode, a_link_in_place_of_the_cache_leads_nowhere)
{
	_cleanup_free_ char *outside = text_format("%s/outside", layer.scratch);

	cr_assert_eq(mkdir(outside, 0777), 0);
	add_virtualenv("", PYTHON);
	add_text("pkg/a.py", "a = 1\n");
	add_text("good.py", "a = 1\n");
	add_link("pkg/__pycache__", "../../../../../outside");
	make();
	cr_expect_eq(job.compiled, 1);
	cr_expect_eq(rmdir(outside), 0, "something was written there");
}

Test(bytecode, a_tree_without_a_virtualenv_is_compiled_only_on_demand)
{
	add_text("a.py", "a = 1\n");
	make();
	cr_expect_eq(job.compiled, 0);
	cr_expect_str_eq(job.note, "");

	job.mode = BYTECODE_ALWAYS;
	make();
	cr_expect_eq(job.compiled, 1, "'%s'", job.note);
}

Test(bytecode, nothing_is_compiled_when_nobody_wants_it)
{
	add_virtualenv("", PYTHON);
	add_text("a.py", "a = 1\n");
	job.mode = BYTECODE_NEVER;
	make();
	cr_expect_eq(job.compiled, 0);
}

/* ---- who is not run */

static void expect_refused(const char *why)
{
	add_text("a.py", "a = 1\n");
	make();
	cr_expect_eq(job.compiled, 0);
	cr_expect(strstr(job.note, why), "'%s'", job.note);
	cr_expect_not(trees_exists(layer.scratch, "ran"));
}

static char *make_program(const char *name, int mode)
{
	_cleanup_free_ char *text = text_format("#!/bin/sh\ntouch %s/ran\n", layer.scratch);

	trees_write(layer.scratch, name, text, strlen(text), mode);
	return text_format("%s/%s", layer.scratch, name);
}

Test(bytecode, a_program_out_of_the_archive_is_not_run)
{
	add_text("pyvenv.cfg", "home = /usr/bin\n");
	add_text("bin/python", "#!/bin/sh\ntouch /tmp/ran\n");
	expect_refused("part of an archive");
}

Test(bytecode, a_program_out_of_another_archive_is_not_run)
{
	_cleanup_free_ char *program = make_program("state/layers/b/tree/bin/python", 0555);

	add_virtualenv("", program);
	expect_refused("part of an archive");
}

Test(bytecode, a_way_around_over_a_link_does_not_help)
{
	_cleanup_free_ char *program = make_program("state/layers/b/tree/bin/python", 0555);
	_cleanup_free_ char *link = text_format("%s/around", layer.scratch);
	_cleanup_free_ char *state = text_format("%s/state", layer.scratch);
	_cleanup_free_ char *through = text_format("%s/layers/b/tree/bin/python", link);

	cr_assert_eq(symlink(state, link), 0);
	add_virtualenv("", through);
	/* The same when it is the daemon that goes through the link. */
	job.directory = text_format("%s/layers/a", link);
	expect_refused("part of an archive");
}

Test(bytecode, a_program_that_others_can_change_is_not_run)
{
	_cleanup_free_ char *program = make_program("elsewhere/python", 0777);

	add_virtualenv("", program);
	expect_refused("could change");
}

Test(bytecode, a_program_in_a_directory_that_others_can_write_is_not_run)
{
	_cleanup_free_ char *program = make_program("elsewhere/python", 0755);

	/* /tmp itself is such a directory. */
	add_virtualenv("", program);
	expect_refused("could change");
}

Test(bytecode, an_interpreter_that_is_not_there_is_told)
{
	add_virtualenv("", "/nowhere/python3");
	expect_refused("is not there");
}

Test(bytecode, what_is_no_python_is_told)
{
	add_virtualenv("", "/bin/true");
	expect_refused("does not run as a Python");
}
