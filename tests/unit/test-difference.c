#include "daemon/core/difference.h"

#include <criterion/criterion.h>
#include "base/buffer.h"

#define MAX_ROWS 16

/* An environment by its components, "kind|name|value" each. */
struct environment {
	const char *rows[MAX_ROWS];
};

static void parse(const struct environment *environment, struct db_components *ret)
{
	size_t i;

	*ret = (struct db_components){ .rows = new0_array(struct db_component, MAX_ROWS) };
	for (i = 0; i < MAX_ROWS && environment->rows[i]; i++) {
		const char *kind = environment->rows[i], *name = strchr(kind, '|') + 1;
		const char *value = strchr(name, '|') + 1;

		ret->rows[ret->count++] = (struct db_component){
			.kind = text_format("%.*s", (int)(name - kind - 1), kind),
			.name = text_format("%.*s", (int)(value - name - 1), name),
			.value = text_copy(value),
		};
	}
}

/* The texts, each with a newline; owned. */
static char *tell(const struct environment *here, const struct environment *there)
{
	_cleanup_(db_components_deinit) struct db_components one, other;
	_cleanup_(differences_deinit) struct differences differences;
	struct buffer texts = { 0 };
	size_t i;

	parse(here, &one);
	parse(there, &other);
	differences_find(&one, &other, &differences);
	for (i = 0; i < differences.count; i++)
		buffer_format(&texts, "%s\n", differences.rows[i].text);
	return buffer_steal_text(&texts);
}

static void expect(
	const struct environment *here, const struct environment *there, const char *texts)
{
	_cleanup_free_ char *found = tell(here, there);

	cr_expect_str_eq(found, texts, "%s", found);
}

Test(difference, what_is_equal_is_not_told)
{
	static const struct environment environment = { {
		"archive|venv|k1",
		"python-file|a.py|k2",
		"requirements||h1",
		"variable|FOO|s1",
		"archive-content|venv|d1",
		"bytecode||never",
		"requirements-content||c1",
		"requirement|a==1|",
	} };
	static const struct environment nothing = { { NULL } };

	expect(&environment, &environment, "");
	expect(&nothing, &nothing, "");
}

Test(difference, archives_and_files_are_told_by_their_content)
{
	static const struct environment here = { {
		"archive|model|k1",
		"archive|venv|k2",
		"python-file|a.py|k3",
		"archive-content|model|11111111111111111111",
		"archive-content|venv|22222222222222222222",
		"python-file-content|a.py|33333333333333333333",
	} };
	static const struct environment there = { {
		"archive|venv|k9",
		"python-file|a.py|k3",
		"python-file|b.py|k4",
		"archive-content|venv|99999999999999999999",
		"python-file-content|a.py|33333333333333333333",
		"python-file-content|b.py|44444444444444444444",
	} };

	expect(&here, &there,
		"archive 'model' only here\n"
		"archive 'venv' has other content (sha256 222222222222… here, 999999999999… "
		"there)\n"
		"python file 'b.py' only there\n");
}

Test(difference, equal_content_is_told_from_how_it_was_prepared)
{
	static const struct environment here = { {
		"archive|venv|k1",
		"archive-content|venv|d1",
		"bytecode||always",
	} };
	static const struct environment there = { {
		"archive|venv|k2",
		"archive-content|venv|d1",
		"bytecode||never",
	} };
	static const struct environment other_version = { {
		"archive|venv|k3",
		"archive-content|venv|d1",
		"bytecode||always",
	} };
	static const struct environment old = { { "archive|venv|k2" } };

	expect(&here, &there,
		"archive 'venv' compiled otherwise (bytecode: always here, never there)\n");
	expect(&here, &other_version,
		"archive 'venv' has the same content, prepared by another version of pyenvd\n");
	expect(&here, &old, "archive 'venv' is another one\n");
}

Test(difference, files_of_one_name_are_told_apart_and_so_is_their_order)
{
	static const struct environment here = { {
		"python-file|a.py|k1",
		"python-file|a.py|k2",
		"python-file-content|a.py|111111111111",
		"python-file-content|a.py|222222222222",
	} };
	static const struct environment there = { {
		"python-file|a.py|k1",
		"python-file|a.py|k3",
		"python-file-content|a.py|111111111111",
		"python-file-content|a.py|333333333333",
	} };
	static const struct environment ab = { { "python-file|a|k1", "python-file|b|k2" } };
	static const struct environment ba = { { "python-file|b|k2", "python-file|a|k1" } };

	expect(&here, &there,
		"python file 'a.py' has other content (sha256 222222222222… here, 333333333333… "
		"there)\n");
	expect(&ab, &ba, "python files are in another order\n");
}

Test(difference, interpreters_are_told_by_as_much_as_differs)
{
	static const struct environment here = { {
		"python||/usr/bin/python3",
		"python-identity||cpython 3.12.1 cpython-312-x86_64 linux-x86_64",
	} };
	static const struct environment version = { {
		"python||/usr/bin/python3",
		"python-identity||cpython 3.11.2 cpython-311-x86_64 linux-x86_64",
	} };
	static const struct environment abi = { {
		"python||/usr/bin/python3",
		"python-identity||cpython 3.12.1 cpython-312d-x86_64 linux-x86_64",
	} };
	static const struct environment archive = { { "python||venv/bin/python" } };
	static const struct environment none = { { NULL } };

	expect(&here, &version, "interpreter: cpython 3.12.1 here, cpython 3.11.2 there\n");
	expect(&here, &abi,
		"interpreter: cpython 3.12.1 cpython-312-x86_64 linux-x86_64 here, cpython 3.12.1 "
		"cpython-312d-x86_64 linux-x86_64 there\n");
	expect(&here, &archive, "python: '/usr/bin/python3' here, 'venv/bin/python' there\n");
	expect(&none, &here, "python: '/usr/bin/python3' only there\n");
}

Test(difference, variables_have_no_values_and_workers_have_words)
{
	static const struct environment here = { {
		"python-path||/opt/x",
		"variable|FOO|secret1",
		"variable|NEW|secret2",
		"worker|docker|img:1",
	} };
	static const struct environment there = { {
		"python-path||/opt/y",
		"variable|FOO|secret3",
		"variable|OLD|secret4",
	} };
	_cleanup_(db_components_deinit) struct db_components one, other;
	_cleanup_(differences_deinit) struct differences differences;
	size_t i;

	expect(&here, &there,
		"python path: '/opt/x' here, '/opt/y' there\n"
		"variable FOO has another value\n"
		"variable NEW only here\n"
		"variable OLD only there\n"
		"workers: containers of the image 'img:1' here, processes of the default command "
		"there\n");
	parse(&here, &one);
	parse(&there, &other);
	differences_find(&one, &other, &differences);
	for (i = 0; i < differences.count; i++)
		cr_expect(!strstr(differences.rows[i].here, "secret") &&
			!strstr(differences.rows[i].there, "secret"));
}

#define REQUIRED(hash, content, installer)                                                         \
	"requirements||" hash, "requirements-content||" content, "installer||" installer

Test(difference, requirements_are_told_by_what_they_name)
{
	static const struct environment here = { {
		REQUIRED("h1", "c1", "uv"),
		"requirement|numpy==2.1|",
		"requirement|six|",
	} };
	static const struct environment there = { {
		REQUIRED("h2", "c2", "uv"),
		"requirement|six|",
		"requirement|numpy==2.0|",
	} };
	static const struct environment options = { {
		REQUIRED("h3", "c3", "uv"),
		"requirement|numpy==2.1|",
		"requirement|six|",
	} };
	static const struct environment installer = { {
		REQUIRED("h4", "c1", "pip"),
		"requirement|numpy==2.1|",
		"requirement|six|",
	} };
	static const struct environment interpreter = { {
		REQUIRED("h5", "c1", "uv"),
		"requirement|numpy==2.1|",
		"requirement|six|",
	} };
	static const struct environment old = { { "requirements||h6" } };
	static const struct environment many = { { REQUIRED("h7", "c7", "uv") } };
	static const struct environment none = { { NULL } };

	expect(&here, &there, "requirements differ: +numpy==2.1, -numpy==2.0\n");
	expect(&here, &options,
		"requirements name the same, but their order, options, constraints, hashes or "
		"packages differ\n");
	expect(&here, &installer,
		"requirements are the same, installed by uv here, by pip there\n");
	expect(&here, &interpreter,
		"requirements are the same, installed for another interpreter\n");
	expect(&here, &old, "requirements are other ones, or installed otherwise\n");
	expect(&here, &many, "requirements differ\n");
	expect(&none, &here, "requirements only there\n");
}

Test(difference, requirements_for_an_interpreter_that_is_not_known_yet)
{
	static const struct environment here = { { "requirements-content||c1", "requirement|a|" } };
	static const struct environment equal = { {
		REQUIRED("h1", "c1", "uv"),
		"requirement|a|",
	} };
	static const struct environment other = { {
		REQUIRED("h1", "c2", "uv"),
		"requirement|b|",
	} };

	expect(&here, &equal, "");
	expect(&here, &other, "requirements differ: +a, -b\n");
}

Test(difference, of_very_many_requirements_some_are_told)
{
	_cleanup_(db_components_deinit) struct db_components here = { 0 }, there = { 0 };
	_cleanup_(differences_deinit) struct differences differences;
	size_t i;

	parse(&(struct environment){ { REQUIRED("h1", "c1", "uv") } }, &here);
	parse(&(struct environment){ { REQUIRED("h2", "c2", "uv"), "requirement|old|" } }, &there);
	here.rows = reallocarray(here.rows, 64, sizeof(*here.rows));
	for (i = 0; i < 30; i++)
		here.rows[here.count++] = (struct db_component){
			.kind = text_copy("requirement"),
			.name = text_format("p%zu", i),
			.value = text_copy(""),
		};
	differences_find(&here, &there, &differences);
	cr_assert_eq(differences.count, 1);
	cr_expect(strstr(differences.rows[0].text, "+p0, +p1"));
	cr_expect(strstr(differences.rows[0].text, "+p19, and 11 more"));
	cr_expect_not(strstr(differences.rows[0].text, "+p20"));
}

Test(difference, what_is_equal_is_counted)
{
	_cleanup_(db_components_deinit) struct db_components here, there;

	parse(&(struct environment){ { "variable|B|1", "archive|v|k", "variable|A|1" } }, &here);
	parse(&(struct environment){ { "variable|A|1", "variable|B|2", "archive|v|k" } }, &there);
	qsort(here.rows, here.count, sizeof(*here.rows), difference_compare);
	cr_expect_eq(difference_count_equal(&here, &there), 2);
	there.count = 1;
	cr_expect_eq(difference_count_equal(&here, &there), 1);
	there.count = 3;
	here.count = 0;
	cr_expect_eq(difference_count_equal(&here, &there), 0);
	here.count = 3;
}
