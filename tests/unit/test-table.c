#include <criterion/criterion.h>
#include "base/util.h"
#include "client/table.h"

static char *text;
static size_t size;
static FILE *file;

static void set_up(void)
{
	file = open_memstream(&text, &size);
}

static const char *printed(void)
{
	fclose(file);
	return text;
}

TestSuite(table, .init = set_up);

Test(table, columns_are_aligned_and_the_last_is_not_padded)
{
	static const char *const headers[] = { "NAME", ">SIZE", "PATH" };
	_cleanup_(table_deinit) struct table table = { .columns = 3, .headers = headers };

	table_add(&table, text_copy("venv"));
	table_add(&table, text_copy("3 B"));
	table_add(&table, text_copy("/a"));
	table_add(&table, text_copy("größer"));
	table_add(&table, text_copy("12 MiB"));
	table_add(&table, text_copy("/longer"));
	table_print(&table, file);
	cr_expect_str_eq(printed(),
		"NAME      SIZE  PATH\n"
		"venv       3 B  /a\n"
		"größer  12 MiB  /longer\n");
	free(text);
}

Test(table, an_empty_one_is_its_headers)
{
	static const char *const headers[] = { "A", ">B" };
	struct table table = { .columns = 2, .headers = headers };

	table_print(&table, file);
	cr_expect_str_eq(printed(), "A  B\n");
	free(text);
}

Test(table, cells_are_never_empty_and_never_control_the_terminal)
{
	static const char *const headers[] = { "A", "B", "C" };
	_cleanup_(table_deinit) struct table table = { .columns = 3, .headers = headers };

	table_add(&table, NULL);
	table_add(&table, text_copy(""));
	table_add(&table, text_copy("\033[31m\n"));
	table_print(&table, file);
	cr_expect_str_eq(printed(), "A  B  C\n-  -  ?[31m?\n");
	free(text);
}

Test(table, many_rows_fit)
{
	static const char *const headers[] = { "A" };
	_cleanup_(table_deinit) struct table table = { .columns = 1, .headers = headers };
	int i;

	for (i = 0; i < 1000; i++)
		table_add(&table, text_copy("x"));
	table_print(&table, file);
	cr_expect_eq(strlen(printed()), 2002);
	free(text);
}

Test(table, facts_stand_below_each_other)
{
	table_print_fact(file, "a", "%d", 1);
	table_print_fact(file, "a name that is very long", "%s", "x\ny");
	table_print_fact(file, "nothing", "%s", "");
	cr_expect_str_eq(printed(),
		"a:                   1\n"
		"a name that is very long: x?y\n"
		"nothing:             -\n");
	free(text);
}
