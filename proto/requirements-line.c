/*
 * As pip reads it (get_line_parser() and break_args_options() of its req_file.py): up to
 * the first word that begins with '-' it is a requirement, from there on they are options
 * as a shell would split them. Options are known by their whole names; where pip would
 * pass over something without a word (an option of no effect there, a word that belongs
 * to nothing), it is refused.
 *
 * Several options on one line take effect in pip in an order of their own: --index-url
 * forgets the indexes of lines before, never of its own line. Hence it goes first.
 */
#include "proto/requirements-line.h"

#include <ctype.h>
#include <errno.h>
#include "base/utf8.h"
#include "proto/requirements-spec.h"
#include "proto/requirements-url.h"

#define BLANKS " \t"

enum trait {
	TAKES_VALUE = 1,
	OF_REQUIREMENT = 2, /* stands behind one, and only there */
	OF_NETWORK = 4, /* means nothing without one */
	ONLY_PIP = 8, /* uv does not know it, or passes over it */
	NAMES_FILE = 16,
	SETS_INDEX = 32,
};

struct requirements_option_kind {
	const char *name;
	const char *short_name, *other_name; /* or NULL */
	unsigned traits;
	int (*check)(const char *name, const char *value, struct error *err); /* or NULL */
};

/* ---- what a value may be */

static int check_editable(const char *name, const char *value, struct error *err)
{
	return fail(err, -EINVAL, "REQUIREMENTS_INVALID",
		"'%s': an editable install would change with its source; build a wheel of it",
		name);
}

static int check_file(const char *name, const char *value, struct error *err)
{
	if (requirements_url_kind(value) == REQUIREMENTS_URL_LOCAL)
		return fail(err, -EINVAL, "REQUIREMENTS_INVALID",
			"'%s' with a URL: give the file's path", name);
	if (strstr(value, "://"))
		return fail(err, -EINVAL, "REQUIREMENTS_INVALID",
			"'%s' with a URL: what is there could change at any time", name);
	return 0;
}

static int check_location(const char *name, const char *value, struct error *err)
{
	switch (requirements_url_kind(value)) {
	case REQUIREMENTS_URL_WEB:
		return 0;
	case REQUIREMENTS_URL_NONE:
	case REQUIREMENTS_URL_LOCAL:
		return fail(err, -EINVAL, "REQUIREMENTS_INVALID",
			"'%s' names a local path: give a directory of packages instead", name);
	default:
		return fail(err, -EINVAL, "REQUIREMENTS_INVALID",
			"'%s' takes a URL that begins with http:// or https://", name);
	}
}

static bool has_only(const char *value, const char *more)
{
	for (; *value; value++)
		if (!isalnum((unsigned char)*value) && !strchr(more, *value))
			return false;
	return true;
}

static int check_host(const char *name, const char *value, struct error *err)
{
	if (has_only(value, ".-_:[]"))
		return 0;
	return fail(err, -EINVAL, "REQUIREMENTS_INVALID", "'%s' takes a host, or host:port", name);
}

static int check_names(const char *name, const char *value, struct error *err)
{
	if (has_only(value, "._-:,") && *value != '-')
		return 0;
	return fail(err, -EINVAL, "REQUIREMENTS_INVALID",
		"'%s' takes ':all:', ':none:' or names with commas between", name);
}

static int check_hash(const char *name, const char *value, struct error *err)
{
	static const struct {
		const char *name;
		size_t digits;
	} algorithms[] = { { "sha256:", 64 }, { "sha384:", 96 }, { "sha512:", 128 } };
	const char *digits;
	size_t i, n;

	for (i = 0; i < ARRAY_SIZE(algorithms); i++) {
		if (!text_starts_with(value, algorithms[i].name))
			continue;
		digits = value + strlen(algorithms[i].name);
		for (n = 0; isxdigit((unsigned char)digits[n]);)
			n++;
		if (n == algorithms[i].digits && !digits[n])
			return 0;
	}
	return fail(err, -EINVAL, "REQUIREMENTS_INVALID",
		"'%s' takes sha256:, sha384: or sha512: and that many hexadecimal digits", name);
}

static int check_setting(const char *name, const char *value, struct error *err)
{
	const char *equals = strchr(value, '=');

	if (equals && equals != value)
		return 0;
	return fail(err, -EINVAL, "REQUIREMENTS_INVALID", "'%s' takes KEY=VALUE", name);
}

static const struct requirements_option_kind option_kinds[] = {
	{ "--requirement", "-r", NULL, TAKES_VALUE | NAMES_FILE, check_file },
	{ "--constraint", "-c", NULL, TAKES_VALUE | NAMES_FILE, check_file },
	{ "--editable", "-e", NULL, TAKES_VALUE, check_editable },
	{ "--index-url", "-i", "--pypi-url", TAKES_VALUE | OF_NETWORK | SETS_INDEX,
		check_location },
	{ "--extra-index-url", NULL, NULL, TAKES_VALUE | OF_NETWORK, check_location },
	{ "--find-links", "-f", NULL, TAKES_VALUE | OF_NETWORK, check_location },
	{ "--trusted-host", NULL, NULL, TAKES_VALUE | OF_NETWORK | ONLY_PIP, check_host },
	{ "--no-index", NULL, NULL, 0, NULL },
	{ "--no-binary", NULL, NULL, TAKES_VALUE, check_names },
	{ "--only-binary", NULL, NULL, TAKES_VALUE, check_names },
	{ "--prefer-binary", NULL, NULL, ONLY_PIP, NULL },
	{ "--require-hashes", NULL, NULL, 0, NULL },
	{ "--pre", NULL, NULL, ONLY_PIP, NULL },
	{ "--use-feature", NULL, NULL, TAKES_VALUE | ONLY_PIP, check_names },
	{ "--hash", NULL, NULL, TAKES_VALUE | OF_REQUIREMENT, check_hash },
	{ "--global-option", NULL, NULL, TAKES_VALUE | OF_REQUIREMENT | ONLY_PIP, NULL },
	{ "--config-settings", "-C", "--config-setting", TAKES_VALUE | OF_REQUIREMENT | ONLY_PIP,
		check_setting },
};

/* ---- words and options */

/* As a shell splits; NULL at the end; owned. Moves @at behind it. */
static int take_word(const char **at, char **ret, struct error *err)
{
	_cleanup_buffer_ struct buffer word = { 0 };
	const char *p = *at + strspn(*at, BLANKS);
	char within = 0;

	*ret = NULL;
	*at = p;
	if (!*p)
		return 0;
	for (; *p && (within || !strchr(BLANKS, *p)); p++) {
		if (within ? *p == within : *p == '"' || *p == '\'')
			within = within ? 0 : *p;
		else
			buffer_append(&word, p, 1);
	}
	if (within)
		return fail(err, -EINVAL, "REQUIREMENTS_INVALID", "a quote that does not end");
	*at = p;
	*ret = buffer_steal_text(&word);
	return 0;
}

static bool is_named(const struct requirements_option_kind *kind, const char *name, size_t size)
{
	const char *const names[] = { kind->name, kind->short_name, kind->other_name };
	size_t i;

	for (i = 0; i < ARRAY_SIZE(names); i++)
		if (names[i] && strlen(names[i]) == size && memcmp(names[i], name, size) == 0)
			return true;
	return false;
}

/* @value: what stands in the same word, or NULL. */
static int find_option(const char *word, const struct requirements_option_kind **kind,
	const char **value, struct error *err)
{
	bool is_long = text_starts_with(word, "--");
	/* Nothing of a value is shown. */
	size_t size = is_long ? strcspn(word, "=") : 1 + !!word[1], i;

	if (word[0] != '-')
		return fail(err, -EINVAL, "REQUIREMENTS_INVALID",
			"a word behind an option that does not belong to it");
	for (i = 0; i < ARRAY_SIZE(option_kinds); i++) {
		*kind = &option_kinds[i];
		if (!is_named(*kind, word, size))
			continue;
		*value = word[size] ? word + size + is_long : NULL;
		if (!is_long && word[size] == '=')
			return fail(err, -EINVAL, "REQUIREMENTS_INVALID", "'%.2s=': '%s=' is meant",
				word, (*kind)->name);
		return 0;
	}
	return fail(err, -EINVAL, "REQUIREMENTS_INVALID", "the option '%.*s' is not known",
		(int)utf8_cut(word, strlen(word), size < 40 ? size : 40), word);
}

/* For all values that are written again: pip would take quotes off, uv would not. */
static int check_value(
	const struct requirements_option_kind *kind, const char *value, struct error *err)
{
	int r = kind->check ? kind->check(kind->name, value, err) : 0;

	if (r || (kind->traits & NAMES_FILE))
		return r;
	if (strpbrk(value, BLANKS "\"'`<>"))
		return fail(err, -EINVAL, "REQUIREMENTS_INVALID",
			"'%s' has a value with a space, quote or bracket in it", kind->name);
	if (!requirements_url_are_plain(value))
		return fail(err, -EINVAL, "REQUIREMENTS_INVALID",
			"'%s' has a URL whose host cannot be told", kind->name);
	return 0;
}

/* The next option with its value; false in *@found at the end. */
static int take_option(
	const char **at, struct requirements_option *ret, bool *found, struct error *err)
{
	_cleanup_free_ char *word = NULL, *next = NULL;
	const char *value = NULL;
	int r;

	r = take_word(at, &word, err);
	*found = r == 0 && word;
	if (!*found)
		return r;
	r = find_option(word, &ret->kind, &value, err);
	if (r == 0 && (ret->kind->traits & TAKES_VALUE) && !value) {
		r = take_word(at, &next, err);
		value = next;
	}
	if (r)
		return r;
	if (!(ret->kind->traits & TAKES_VALUE) != !value)
		return fail(err, -EINVAL, "REQUIREMENTS_INVALID",
			value ? "'%s' takes no value" : "'%s' has no value", ret->kind->name);
	if (value && !*value)
		return fail(err, -EINVAL, "REQUIREMENTS_INVALID", "'%s' has an empty value",
			ret->kind->name);
	if (value)
		r = check_value(ret->kind, value, err);
	ret->value = r ? NULL : text_copy(value);
	return r;
}

/* ---- lines */

/* To the first word that begins with '-'. */
static size_t size_of_requirement(const char *text)
{
	size_t n = 0;

	while (text[n] && !(text[n] == '-' && (n == 0 || strchr(BLANKS, text[n - 1]))))
		n++;
	while (n && strchr(BLANKS, text[n - 1]))
		n--;
	return n;
}

static void add_option(struct requirements_line *line, struct requirements_option option)
{
	size_t n = line->option_count;

	/* Doubles whenever full. */
	if ((n & (n - 1)) == 0) {
		line->options = realloc(line->options, (n ? 2 * n : 1) * sizeof(option));
		if (!line->options)
			abort();
	}
	line->options[line->option_count++] = option;
	line->needs_pip |= (option.kind->traits & ONLY_PIP) ||
		(option.kind->check == check_names && strchr(option.value, ','));
	line->index_count += !!(option.kind->traits & SETS_INDEX);
	line->is_pinned |= line->is_url && option.kind->check == check_hash;
}

static int check_place(const struct requirements_line *line,
	const struct requirements_option *option, struct error *err)
{
	bool of_requirement = option->kind->traits & OF_REQUIREMENT;

	if (line->text && !of_requirement)
		return fail(err, -EINVAL, "REQUIREMENTS_INVALID", "'%s' needs a line of its own",
			option->kind->name);
	if (!line->text && of_requirement)
		return fail(err, -EINVAL, "REQUIREMENTS_INVALID",
			"'%s' belongs behind a requirement", option->kind->name);
	return 0;
}

static int parse_options(
	struct requirements_line *line, const char *at, bool offline, struct error *err)
{
	struct requirements_option option = { 0 };
	bool found;
	int r;

	while ((r = take_option(&at, &option, &found, err)) == 0 && found) {
		r = check_place(line, &option, err);
		if (r || (offline && (option.kind->traits & OF_NETWORK)))
			free(option.value);
		else
			add_option(line, option);
		if (r)
			return r;
	}
	return r;
}

/* A line that names a file has nothing else. */
static int take_file(struct requirements_line *line, struct error *err)
{
	size_t i;

	for (i = 0; i < line->option_count; i++) {
		if (!(line->options[i].kind->traits & NAMES_FILE))
			continue;
		if (line->option_count > 1)
			return fail(err, -EINVAL, "REQUIREMENTS_INVALID",
				"'%s' needs a line of its own", line->options[i].kind->name);
		line->kind = line->options[i].kind == &option_kinds[0] ? REQUIREMENTS_INCLUDE
								       : REQUIREMENTS_CONSTRAINT;
		line->text = STEAL(line->options[i].value);
		line->option_count = 0;
	}
	return 0;
}

static int parse_requirement(struct requirements_line *line, bool offline, struct error *err)
{
	struct requirements_spec spec;
	int r;

	r = requirements_spec_parse(line->text, &spec, err);
	if (r)
		return r;
	if (spec.is_url && offline)
		return fail(err, -EINVAL, "REQUIREMENTS_INVALID",
			"a requirement that is a URL, where nothing may come from a network");
	line->is_pinned = spec.is_pinned;
	line->is_url = spec.is_url;
	line->needs_pip = spec.needs_pip;
	return 0;
}

int requirements_line_parse(
	const char *text, bool offline, struct requirements_line *ret, struct error *err)
{
	_cleanup_(requirements_line_deinit) struct requirements_line line = { 0 };
	size_t size = size_of_requirement(text);
	int r = 0;

	line.kind = size ? REQUIREMENTS_REQUIREMENT : REQUIREMENTS_OPTIONS;
	if (size) {
		line.text = text_format("%.*s", (int)size, text);
		r = parse_requirement(&line, offline, err);
	}
	if (r == 0)
		r = parse_options(&line, text + size, offline, err);
	if (r == 0)
		r = take_file(&line, err);
	if (r == 0)
		*ret = STEAL(line);
	return r;
}

void requirements_line_deinit(struct requirements_line *line)
{
	size_t i;

	for (i = 0; i < line->option_count; i++)
		free(line->options[i].value);
	free(line->options);
	free(line->text);
	*line = (struct requirements_line){ 0 };
}

/* ---- and out again */

char *requirements_line_specifier(const struct requirements_line *line)
{
	const char *end;

	if (line->kind != REQUIREMENTS_REQUIREMENT ||
		requirements_url_kind(line->text) != REQUIREMENTS_URL_NONE)
		return NULL;
	if (line->is_url)
		return text_format("%.*s@ …", (int)strcspn(line->text, "@"), line->text);
	/* A marker may compare with anything. */
	end = strstr(line->text, "://") ? strchr(line->text, ';') : NULL;
	return end ? text_format("%.*s; …", (int)(end - line->text), line->text)
		   : text_copy(line->text);
}

static void append(struct buffer *buffer, const char *text, bool is_public)
{
	if (is_public)
		requirements_url_append_public(buffer, text);
	else
		buffer_append_text(buffer, text);
}

static void append_option(
	struct buffer *buffer, const struct requirements_option *option, bool is_public)
{
	buffer_append_text(buffer, option->kind->name);
	if (!option->value)
		return;
	buffer_append_text(buffer, "=");
	append(buffer, option->value, is_public);
}

/* Those of a line without a requirement: first those that set the index, then the others. */
static void append_options(const struct requirements_line *line, unsigned sets_index,
	bool is_public, struct buffer *ret)
{
	size_t i;

	for (i = 0; i < line->option_count; i++) {
		if ((line->options[i].kind->traits & SETS_INDEX) != sets_index)
			continue;
		append_option(ret, &line->options[i], is_public);
		buffer_append_text(ret, "\n");
	}
}

void requirements_line_format(
	const struct requirements_line *line, bool is_public, struct buffer *ret)
{
	size_t i;

	if (!line->text) {
		append_options(line, SETS_INDEX, is_public, ret);
		append_options(line, 0, is_public, ret);
		return;
	}
	append(ret, line->text, is_public);
	for (i = 0; i < line->option_count; i++) {
		buffer_append_text(ret, " ");
		append_option(ret, &line->options[i], is_public);
	}
	buffer_append_text(ret, "\n");
}
