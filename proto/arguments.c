#include "proto/arguments.h"

#include <errno.h>
#include <string.h>
#include "base/util.h"

#define HELP_COLUMN 28

void arguments_deinit(struct arguments *arguments)
{
	free(arguments->words);
	arguments->words = NULL;
	arguments->word_count = 0;
}

static void add_word(struct arguments *arguments, char *word)
{
	char **words = new0_array(char *, arguments->word_count + 2);

	if (arguments->word_count)
		memcpy(words, arguments->words, arguments->word_count * sizeof(*words));
	words[arguments->word_count++] = word;
	free(arguments->words);
	arguments->words = words;
}

/* By its name (so many bytes of it), or by its letter where there is no name. */
static const struct argument *find(
	const struct arguments *arguments, const char *name, size_t size, char letter, void **data)
{
	const struct argument *row;
	size_t i;

	for (i = 0; i < arguments->set_count; i++) {
		*data = arguments->sets[i].data;
		for (row = arguments->sets[i].rows; row && row->name; row++) {
			if (!name && row->letter == letter)
				return row;
			if (name && strlen(row->name) == size && !memcmp(row->name, name, size))
				return row;
		}
	}
	return NULL;
}

/* Where a command line is being read. */
struct cursor {
	char **at, **end;
};

static int take_long(struct arguments *arguments, struct cursor *cursor, struct error *err)
{
	const char *name = *cursor->at++ + 2, *equals = strchr(name, '=');
	int size = (int)(equals ? (size_t)(equals - name) : strlen(name));
	const struct argument *row;
	const char *value = NULL;
	void *data;

	row = find(arguments, name, (size_t)size, 0, &data);
	if (!row)
		return fail(err, -EINVAL, NULL, "unknown option '--%.*s'", size, name);
	if (!row->value && equals)
		return fail(err, -EINVAL, NULL, "option '--%s' takes no value", row->name);
	if (row->value && equals)
		value = equals + 1;
	else if (row->value && cursor->at < cursor->end)
		value = *cursor->at++;
	else if (row->value)
		return fail(err, -EINVAL, NULL, "option '--%s' needs a value: %s", row->name,
			row->value);
	return row->take(data, value, err);
}

static int take_letters(struct arguments *arguments, struct cursor *cursor, struct error *err)
{
	const char *letter = *cursor->at++ + 1;
	const struct argument *row;
	void *data;
	int r;

	for (; *letter; letter++) {
		row = find(arguments, NULL, 0, *letter, &data);
		if (!row)
			return fail(err, -EINVAL, NULL, "unknown option '-%c'", *letter);
		if (row->value && letter[1])
			return row->take(data, letter + 1, err);
		if (row->value && cursor->at == cursor->end)
			return fail(err, -EINVAL, NULL, "option '-%c' needs a value: %s", *letter,
				row->value);
		r = row->take(data, row->value ? *cursor->at++ : NULL, err);
		if (r || row->value)
			return r;
	}
	return 0;
}

int arguments_parse(struct arguments *arguments, int argc, char **argv, struct error *err)
{
	struct cursor cursor = { .at = argv, .end = argv + argc };
	bool has_options = true;
	int r = 0;

	while (!r && cursor.at < cursor.end) {
		const char *word = *cursor.at;

		if (has_options && strcmp(word, "--") == 0) {
			has_options = false;
			cursor.at++;
		} else if (has_options && text_starts_with(word, "--")) {
			r = take_long(arguments, &cursor, err);
		} else if (has_options && word[0] == '-' && word[1]) {
			r = take_letters(arguments, &cursor, err);
		} else {
			add_word(arguments, *cursor.at++);
			if (arguments->is_command)
				has_options = false;
		}
	}
	return r;
}

void arguments_print_help(const struct argument *rows, FILE *file)
{
	const char *line, *end;
	int n;

	for (; rows->name; rows++) {
		n = rows->letter ? fprintf(file, "  -%c, ", rows->letter) : fprintf(file, "      ");
		n += fprintf(file, "--%s%s%s", rows->name, rows->value ? " " : "",
			rows->value ? rows->value : "");
		for (line = rows->help; *line; line = *end ? end + 1 : end) {
			end = strchrnul(line, '\n');
			if (n >= HELP_COLUMN) {
				fputc('\n', file);
				n = 0;
			}
			fprintf(file, "%*s%.*s\n", HELP_COLUMN - n, "", (int)(end - line), line);
			n = 0;
		}
	}
}
