/*
 * Flink has had two configuration files: flink-conf.yaml, flat lines `key: value` that
 * look like YAML, and since 1.19 config.yaml, which is YAML and may nest. This reads what
 * the two have in common, and mappings that nest by indentation, their keys joined by
 * dots; which is what is found in such files. A comment begins with a '#' at the start of
 * a line or behind white space, as in YAML (flink-conf.yaml's reader ended a line at any
 * '#', and so could not hold an archive with a target). A value may be in quotes.
 *
 * Only python.* is looked at. Whatever else YAML has (lists, blocks of text, tags) is left
 * alone where it stands under other names, and refused under these.
 */
#include "proto/flink-conf.h"

#include <errno.h>
#include <stdbool.h>
#include "base/buffer.h"

#define MAX_DEPTH 16

struct reader {
	void (*found)(void *data, const char *key, const char *value);
	void *data;
	size_t line;
	/* The mappings around the line, outermost first; the last may be a value. */
	struct {
		size_t indent;
		const char *key; /* borrowed from the text */
	} path[MAX_DEPTH];
	size_t depth;
};

static int refuse(const struct reader *reader, const char *words, struct error *err)
{
	return fail(err, -EINVAL, NULL, "line %zu: %s", reader->line, words);
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

static void trim_end(char *text)
{
	size_t size = strlen(text);

	while (size && is_blank(text[size - 1]))
		text[--size] = 0;
}

/* Whether what stands at the end of the path is ours. */
static bool is_python(const struct reader *reader)
{
	return reader->depth &&
		(strcmp(reader->path[0].key, "python") == 0 ||
			text_starts_with(reader->path[0].key, "python."));
}

/* Behind a quoted text, which is taken out of its quotes; NULL: it does not end. */
static char *unquote(char *text)
{
	const char quote = *text;
	char *to = text, *at;

	for (at = text + 1; *at; at++) {
		if (*at == '\\' && quote == '"' && (at[1] == '"' || at[1] == '\\'))
			at++;
		else if (*at == quote && quote == '\'' && at[1] == quote)
			at++;
		else if (*at == '\\' && quote == '"')
			return NULL;
		else if (*at == quote) {
			*to = 0;
			return at + 1;
		}
		*to++ = *at;
	}
	return NULL;
}

/* Ends @text where a comment begins. */
static void cut_comment(char *text)
{
	char *at;

	for (at = text; *at; at++)
		if (*at == '#' && (at == text || is_blank(at[-1]))) {
			*at = 0;
			return;
		}
}

/* Takes quotes and comment off a value. */
static int read_value(const struct reader *reader, char *value, struct error *err)
{
	char *end;

	if (*value == '\'' || *value == '"') {
		end = unquote(value);
		if (!end)
			return refuse(reader,
				"a quote is not closed, or holds an escape other than \\\" and "
				"\\\\",
				err);
		cut_comment(end);
		trim_end(end);
		return *end ? refuse(reader, "something follows the closing quote", err) : 0;
	}
	if (*value && strchr("|>&*!%@`", *value))
		return refuse(
			reader, "only a plain or quoted value in one line is understood", err);
	cut_comment(value);
	trim_end(value);
	return 0;
}

static void announce(const struct reader *reader, const char *value)
{
	_cleanup_buffer_ struct buffer key = { 0 };
	_cleanup_free_ char *text = NULL;
	size_t i;

	for (i = 0; i < reader->depth; i++)
		buffer_format(&key, "%s%s", i ? "." : "", reader->path[i].key);
	text = buffer_steal_text(&key);
	reader->found(reader->data, text, value);
}

/* The ':' that ends a key, or NULL. */
static char *find_colon(char *line)
{
	char *at;

	for (at = strchr(line, ':'); at; at = strchr(at + 1, ':'))
		if (!at[1] || is_blank(at[1]))
			return at;
	return NULL;
}

static int read_pair(
	struct reader *reader, size_t indent, char *line, char *colon, struct error *err)
{
	char *value = colon + 1;
	int r;

	while (reader->depth && reader->path[reader->depth - 1].indent >= indent)
		reader->depth--;
	if (reader->depth == MAX_DEPTH)
		return refuse(reader, "nested too deep", err);
	*colon = 0;
	trim_end(line);
	if ((*line == '\'' || *line == '"') && !unquote(line))
		return refuse(reader, "a quote is not closed", err);
	reader->path[reader->depth].indent = indent;
	reader->path[reader->depth++].key = line;
	if (!is_python(reader))
		return 0;
	while (is_blank(*value))
		value++;
	if (!*value || *value == '#')
		return 0;
	if (reader->depth == 1 && strcmp(line, "python") == 0)
		return refuse(reader, "options of Python must be lines of their own", err);
	r = read_value(reader, value, err);
	if (r == 0)
		announce(reader, value);
	return r;
}

static int read_line(struct reader *reader, char *line, struct error *err)
{
	size_t indent = strspn(line, " ");
	bool is_item;
	char *colon;

	trim_end(line);
	line += indent;
	if (!*line || *line == '#' || strcmp(line, "---") == 0)
		return 0;
	is_item = *line == '-' && (!line[1] || is_blank(line[1]));
	colon = is_item ? NULL : find_colon(line);
	if (colon)
		return read_pair(reader, indent, line, colon, err);
	if (is_python(reader) || (!indent && !is_item))
		return refuse(reader, "not 'key: value'", err);
	return 0;
}

int flink_conf_parse(char *text, void (*found)(void *data, const char *key, const char *value),
	void *data, struct error *err)
{
	struct reader reader = { .found = found, .data = data };
	char *line;
	int r;

	while ((line = strsep(&text, "\n"))) {
		reader.line++;
		r = read_line(&reader, line, err);
		if (r)
			return r;
	}
	return 0;
}
