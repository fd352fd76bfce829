#include "daemon/worker/shell-word.h"

#include <ctype.h>

bool shell_word_is_plain(char c)
{
	return isalnum((unsigned char)c) || (unsigned char)c >= 0x80 ||
		(c && strchr("/._-+=@%:,", c));
}

static bool is_end(char c)
{
	return c && strchr(" \t\n;)", c);
}

/* How long the part in quotes is, with them; 0 when it does not end, or is expanded. */
static size_t parse_quoted(const char *text, size_t size, struct buffer *ret)
{
	const char *forbidden = *text == '\'' ? "\n" : "\n$`\\";
	size_t i;

	for (i = 1; i < size && text[i] != *text; i++)
		if (strchr(forbidden, text[i])) /* a NUL, too */
			return 0;
	if (i == size)
		return 0;
	buffer_append(ret, text + 1, i - 1);
	return i + 1;
}

size_t shell_word_parse(const char *text, size_t size, struct buffer *ret)
{
	size_t at = 0, n;

	while (at < size && !is_end(text[at])) {
		n = 1;
		if (shell_word_is_plain(text[at])) {
			buffer_append(ret, text + at, 1);
		} else if (text[at] == '\'' || text[at] == '"') {
			n = parse_quoted(text + at, size - at, ret);
		} else if (text[at] == '\\' && at + 1 < size &&
			isprint((unsigned char)text[at + 1])) {
			buffer_append(ret, text + at + 1, 1);
			n = 2;
		} else {
			n = 0;
		}
		if (!n)
			return 0;
		at += n;
	}
	return at;
}

void shell_word_format(const char *value, struct buffer *ret)
{
	buffer_append_text(ret, "'");
	for (; *value; value++)
		if (*value == '\'')
			buffer_append_text(ret, "'\"'\"'");
		else
			buffer_append(ret, value, 1);
	buffer_append_text(ret, "'");
}
