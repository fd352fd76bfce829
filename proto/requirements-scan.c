/*
 * Line by line as pip reads it (join_lines() and ignore_comments() of its req_file.py).
 * Where pip and uv would read the same text in different ways, the text is refused: what
 * is looked at here must be what is installed later, whoever installs. Such are
 *
 *	characters beside CR and LF at which only Python ends a line,
 *	a comment behind a requirement that ends in a backslash (pip goes on with the
 *	next line as part of the comment, uv does not),
 *	spaces beyond ASCII, and backslashes elsewhere than at the end of a line,
 *	${NAME}, which is another text with every environment.
 */
#include "proto/requirements-scan.h"

#include <errno.h>
#include <stdint.h>
#include "base/buffer.h"
#include "base/utf8.h"

#define NAME_CHARACTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_"
#define BYTE_ORDER_MARK "\xef\xbb\xbf"

struct line {
	const char *text; /* no NUL at its end */
	size_t size;
};

/* Of text that is well-formed. */
static unsigned take_character(const char **text)
{
	const uint8_t *s = (const uint8_t *)*text;
	unsigned n = s[0] < 0x80 ? 1 : s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : 4;
	unsigned code = n == 1 ? s[0] : s[0] & (0xffu >> (n + 1)), i;

	for (i = 1; i < n; i++)
		code = code << 6 | (s[i] & 0x3f);
	*text += n;
	return code;
}

static bool ends_pythons_line(unsigned code)
{
	return (code < ' ' && code != '\t') || code == 0x7f || code == 0x85 || code == 0x2028 ||
		code == 0x2029;
}

static bool is_wide_space(unsigned code)
{
	return code == 0xa0 || code == 0x1680 || (code >= 0x2000 && code <= 0x200a) ||
		code == 0x202f || code == 0x205f || code == 0x3000;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

static int check_line(const struct line *line, struct error *err)
{
	const char *at = line->text, *end = line->text + line->size;
	unsigned code;

	if (!utf8_is_valid(line->text, line->size))
		return fail(err, -EINVAL, "REQUIREMENTS_INVALID", "not UTF-8");
	while (at < end) {
		code = take_character(&at);
		if (ends_pythons_line(code))
			return fail(err, -EINVAL, "REQUIREMENTS_INVALID",
				"the control character U+%04X", code);
	}
	return 0;
}

static bool take_line(struct requirements_scan *scan, struct line *ret)
{
	size_t n = 0;

	if (!scan->size)
		return false;
	while (n < scan->size && scan->text[n] != '\n' && scan->text[n] != '\r')
		n++;
	*ret = (struct line){ scan->text, n };
	if (n + 1 < scan->size && scan->text[n] == '\r' && scan->text[n + 1] == '\n')
		n++;
	if (n < scan->size)
		n++;
	scan->text += n;
	scan->size -= n;
	scan->read++;
	return true;
}

/* Where the comment begins; @size when there is none. */
static size_t find_comment(const char *text, size_t size)
{
	size_t i;

	for (i = 0; i < size; i++)
		if (text[i] == '#' && (i == 0 || is_blank(text[i - 1])))
			return i;
	return size;
}

static bool is_comment(const struct line *line)
{
	size_t i = 0;

	while (i < line->size && is_blank(line->text[i]))
		i++;
	return i < line->size && line->text[i] == '#';
}

/* A line and those that continue it. A comment of its own ends them. */
static int join_lines(
	struct requirements_scan *scan, struct line *line, struct buffer *joined, struct error *err)
{
	bool goes_on;
	int r;

	scan->number = scan->read;
	do {
		r = check_line(line, err);
		if (r)
			return r;
		goes_on = line->size && line->text[line->size - 1] == '\\' && !is_comment(line);
		if (goes_on && find_comment(line->text, line->size) < line->size)
			return fail(err, -EINVAL, "REQUIREMENTS_INVALID",
				"a comment that ends in a backslash");
		if (is_comment(line))
			buffer_append_text(joined, " ");
		buffer_append(joined, line->text, line->size - goes_on);
	} while (goes_on && take_line(scan, line));
	return 0;
}

/* What is not comment, without blanks around it; owned. */
static char *strip(const struct buffer *joined)
{
	const char *text = (const char *)joined->data;
	size_t end = find_comment(text, joined->size), start = 0;
	struct buffer stripped = { 0 };

	while (end && is_blank(text[end - 1]))
		end--;
	while (start < end && is_blank(text[start]))
		start++;
	buffer_append(&stripped, text + start, end - start);
	return buffer_steal_text(&stripped);
}

static int check_text(const char *text, struct error *err)
{
	const char *variable = strstr(text, "${"), *at = text;
	unsigned code;

	if (variable)
		return fail(err, -EINVAL, "REQUIREMENTS_INVALID",
			"a variable, '${%.*s…': none is expanded here",
			(int)strspn(variable + 2, NAME_CHARACTERS), variable + 2);
	if (strchr(text, '\\'))
		return fail(err, -EINVAL, "REQUIREMENTS_INVALID",
			"a backslash that does not end its line");
	while (*at) {
		code = take_character(&at);
		if (is_wide_space(code))
			return fail(err, -EINVAL, "REQUIREMENTS_INVALID",
				"the space U+%04X, which is not the usual one", code);
	}
	return 0;
}

int requirements_scan_next(struct requirements_scan *scan, char **ret, struct error *err)
{
	_cleanup_free_ char *text = NULL;
	struct line line;
	int r = 0;

	if (!scan->read && scan->size >= 3 && memcmp(scan->text, BYTE_ORDER_MARK, 3) == 0) {
		scan->text += 3;
		scan->size -= 3;
	}
	while (r == 0 && text_is_empty(text) && take_line(scan, &line)) {
		_cleanup_buffer_ struct buffer joined = { 0 };

		r = join_lines(scan, &line, &joined, err);
		free(STEAL(text));
		if (r == 0)
			text = strip(&joined);
	}
	if (r == 0 && !text_is_empty(text))
		r = check_text(text, err);
	*ret = r == 0 && !text_is_empty(text) ? STEAL(text) : NULL;
	return r;
}
