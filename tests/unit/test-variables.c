#include "daemon/core/variables.h"

#include <criterion/criterion.h>

static struct spec_archive archive = { (char *)"/v.zip", (char *)"venv", false };
static struct spec_file files[] = {
	{ (char *)"/a.py", (char *)"a.py" },
	{ (char *)"/b.whl", (char *)"b.whl" },
};
static const char *entries[] = { "/L/1/tree", "/L/2/tree/b.whl" };
static struct spec spec;
static struct variables_places places;
static struct variables result;

static void setup(void)
{
	spec = (struct spec){
		.archives = &archive,
		.archive_count = 1,
		.files = files,
		.file_count = 2,
		.python = (char *)"venv/bin/python",
		.python_path = (char *)"/opt/a:/opt/b",
		.base_path = (char *)"/usr/bin",
		.base_python_path = (char *)"/before",
	};
	places = (struct variables_places){
		.base_directory = "/lease",
		.working_directory = "/lease/work",
		.interpreter = "/L/0/tree/bin/python",
		.interpreter_is_in_layer = true,
		.file_entries = entries,
	};
}

static void teardown(void)
{
	variables_deinit(&result);
}

TestSuite(variables, .init = setup, .fini = teardown);

static const char *get(const char *name)
{
	size_t i;

	for (i = 0; i < result.count; i++)
		if (text_equal(result.rows[i].name, name))
			return result.rows[i].value;
	return "(none)";
}

Test(variables, uploaded_requirements_have_no_paths)
{
	places.requirements = "/L/3/tree";
	spec.requirements.path = (char *)"/r.txt";
	spec.requirements.packages = (char *)"/wheels";
	variables_compute(&spec, &places, &result);
	cr_expect_str_eq(get("_PYTHON_REQUIREMENTS_FILE"), "/r.txt");
	cr_expect_str_eq(get("_PYTHON_REQUIREMENTS_CACHE"), "/wheels");
	variables_deinit(&result);
	spec.requirements.path = (char *)"sha256:0";
	spec.requirements.packages = (char *)"";
	spec.requirements.file_count = 1;
	variables_compute(&spec, &places, &result);
	cr_expect_str_eq(get("_PYTHON_REQUIREMENTS_FILE"), "(none)");
	cr_expect_str_eq(get("_PYTHON_REQUIREMENTS_CACHE"), "(none)");
	cr_expect_str_eq(get("_PYTHON_REQUIREMENTS_INSTALL_DIR"), "/L/3/tree");
}

Test(variables, the_order_is_flinks)
{
	variables_compute(&spec, &places, &result);
	cr_expect_str_eq(get("PYTHONPATH"), "/opt/a:/opt/b:/L/1/tree:/L/2/tree/b.whl:/before");
	cr_expect_str_eq(get("PATH"), "/L/0/tree/bin:/usr/bin");
	cr_expect_str_eq(get("python"), "/L/0/tree/bin/python");
	cr_expect_str_eq(get("BOOT_LOG_DIR"), "/lease");
	cr_expect_str_eq(get("_PYTHON_WORKING_DIR"), "/lease/work");
	cr_expect_str_eq(get("PYTHONDONTWRITEBYTECODE"), "1");
	cr_expect_str_eq(get("PYFLINK_GATEWAY_DISABLED"), "true");
}

Test(variables, without_archives_there_is_no_directory_of_archives)
{
	spec.archive_count = 0;
	variables_compute(&spec, &places, &result);
	cr_expect_str_eq(get("_PYTHON_WORKING_DIR"), "(none)");
}

Test(variables, an_interpreter_of_the_host_does_not_change_the_path)
{
	places.interpreter_is_in_layer = false;
	places.interpreter = "/usr/bin/python3";
	variables_compute(&spec, &places, &result);
	cr_expect_str_eq(get("PATH"), "/usr/bin");
	cr_expect_str_eq(get("python"), "/usr/bin/python3");
}

Test(variables, without_a_path_before_there_is_the_usual_one)
{
	spec.base_path = NULL;
	places.interpreter = NULL;
	variables_compute(&spec, &places, &result);
	cr_expect_str_eq(get("PATH"), "/usr/local/bin:/usr/bin:/bin");
	cr_expect_str_eq(get("python"), "(none)");
}

Test(variables, empty_parts_leave_no_empty_entries)
{
	spec.python_path = (char *)"";
	spec.base_python_path = (char *)"";
	spec.file_count = 0;
	variables_compute(&spec, &places, &result);
	cr_expect_str_eq(get("PYTHONPATH"), "");
}

Test(variables, the_users_win)
{
	struct spec_variable mine[] = {
		{ (char *)"A", (char *)"1" },
		{ (char *)"PYTHONPATH", (char *)"/mine" },
	};

	spec.variables = mine;
	spec.variable_count = 2;
	variables_compute(&spec, &places, &result);
	cr_expect_str_eq(get("A"), "1");
	cr_expect_str_eq(get("PYTHONPATH"), "/mine");
}
