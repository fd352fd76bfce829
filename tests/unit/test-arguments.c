#include <criterion/criterion.h>
#include <errno.h>
#include "base/buffer.h"
#include "proto/arguments.h"

static struct buffer taken;
static struct arguments arguments;
static struct error err;

static int take(void *data, const char *value, struct error *e)
{
	buffer_format(&taken, "%s=%s ", (const char *)data, value ? value : "(none)");
	return value && strcmp(value, "bad") == 0 ? fail(e, -EINVAL, NULL, "bad") : 0;
}

static const struct argument first[] = {
	{ "file", 'f', "FILE", "a file", take },
	{ "quiet", 'q', NULL, "say\nnothing", take },
	{ 0 },
};

static const struct argument second[] = {
	{ "files-from", 0, "FILE", "long", take },
	{ "verbose", 'v', NULL, "talk", take },
	{ 0 },
};

/* Splits @line at spaces, parses, and gives what the options took. */
static int parse(const char *line)
{
	static const struct argument_set sets[] = {
		{ first, (void *)"1" },
		{ NULL, NULL },
		{ second, (void *)"2" },
	};
	static char *argv[32], copy[128];
	char *word, *save;
	int argc = 0;

	snprintf(copy, sizeof(copy), "%s", line);
	for (word = strtok_r(copy, " ", &save); word; word = strtok_r(NULL, " ", &save))
		argv[argc++] = word;
	arguments.sets = sets;
	arguments.set_count = ARRAY_SIZE(sets);
	buffer_consume(&taken, taken.size);
	arguments_deinit(&arguments);
	err = (struct error){ 0 };
	return arguments_parse(&arguments, argc, argv, &err);
}

static void expect_taken(const char *wanted)
{
	buffer_append(&taken, "", 1);
	cr_expect_str_eq((const char *)taken.data, wanted);
}

static void expect_words(const char *wanted)
{
	_cleanup_buffer_ struct buffer words = { 0 };
	size_t i;

	for (i = 0; i < arguments.word_count; i++)
		buffer_format(&words, "%s ", arguments.words[i]);
	buffer_append(&words, "", 1);
	cr_expect_str_eq((const char *)words.data, wanted);
	cr_expect(!arguments.word_count || !arguments.words[arguments.word_count]);
}

static void tear_down(void)
{
	arguments_deinit(&arguments);
	buffer_deinit(&taken);
}

TestSuite(arguments, .fini = tear_down);

Test(arguments, values_come_in_three_forms)
{
	cr_assert_eq(parse("--file a --file=b -fc -f d --file="), 0);
	expect_taken("1=a 1=b 1=c 1=d 1= ");
	cr_expect_eq(arguments.word_count, 0);
}

Test(arguments, letters_may_stand_together)
{
	cr_assert_eq(parse("-qvfx -qv"), 0);
	expect_taken("1=(none) 2=(none) 1=x 1=(none) 2=(none) ");
}

Test(arguments, words_and_options_may_be_mixed)
{
	cr_assert_eq(parse("a -q b --file - - c -- -q --file"), 0);
	expect_taken("1=(none) 1=- ");
	expect_words("a b - c -q --file ");
}

Test(arguments, the_first_word_of_a_command_ends_the_options)
{
	arguments.is_command = true;
	cr_assert_eq(parse("-q python -v -- --file"), 0);
	expect_taken("1=(none) ");
	expect_words("python -v -- --file ");
	cr_assert_eq(parse("-q -- -v x"), 0);
	expect_words("-v x ");
}

Test(arguments, a_name_must_be_whole)
{
	cr_expect_eq(parse("--fil x"), -EINVAL);
	cr_expect_str_eq(err.text, "unknown option '--fil'");
	cr_expect_eq(parse("--files x"), -EINVAL);
	cr_expect_eq(parse("--=x"), -EINVAL);
	cr_expect_eq(parse("-x"), -EINVAL);
	cr_expect_str_eq(err.text, "unknown option '-x'");
}

Test(arguments, values_are_neither_missing_nor_too_many)
{
	cr_expect_eq(parse("--file"), -EINVAL);
	cr_expect_str_eq(err.text, "option '--file' needs a value: FILE");
	cr_expect_eq(parse("-qf"), -EINVAL);
	cr_expect_eq(parse("--quiet=yes"), -EINVAL);
	cr_expect_str_eq(err.text, "option '--quiet' takes no value");
}

Test(arguments, a_value_that_is_refused_ends_it)
{
	cr_expect_eq(parse("-f bad -q"), -EINVAL);
	expect_taken("1=bad ");
	cr_expect_eq(parse("--file=bad -q"), -EINVAL);
	expect_taken("1=bad ");
}

Test(arguments, help_is_made_of_the_rows)
{
	char *text;
	size_t size;
	FILE *file = open_memstream(&text, &size);

	arguments_print_help(first, file);
	arguments_print_help(second, file);
	fclose(file);
	cr_expect_str_eq(text,
		"  -f, --file FILE           a file\n"
		"  -q, --quiet               say\n"
		"                            nothing\n"
		"      --files-from FILE     long\n"
		"  -v, --verbose             talk\n");
	free(text);
}
