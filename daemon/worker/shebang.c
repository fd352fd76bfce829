#include "daemon/worker/shebang.h"

#include "daemon/worker/shell-word.h"

/* What Linux reads of the line, without its end; 127 before 5.1, which is too old for us
 * in other ways. */
#define LINE_LIMIT 255

#define SHELL_START "#!/bin/sh\n'''exec' "
#define SHELL_ARGUMENTS "\"$0\" \"$@\""
#define SHELL_END "' '''"

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

static void trim(const char **from, const char **to)
{
	while (*from < *to && is_blank(**from))
		(*from)++;
	while (*from < *to && is_blank((*to)[-1]))
		(*to)--;
}

/* No control characters: a line that ends in \r has never started anything. */
static bool is_text(const char *from, const char *to)
{
	for (; from < to; from++)
		if ((unsigned char)*from < ' ' && *from != '\t')
			return false;
	return true;
}

static bool parse_line(const char *text, size_t size, struct shebang *ret)
{
	const char *end = memchr(text, '\n', size), *from = text + 2, *to = end, *at;

	if (!end || !is_text(from, end))
		return false;
	trim(&from, &to);
	for (at = from; at < to && !is_blank(*at);)
		at++;
	if (at == from || *from != '/')
		return false;
	ret->interpreter = text_format("%.*s", (int)(at - from), from);
	trim(&at, &to);
	ret->argument = at;
	ret->argument_size = (size_t)(to - at);
	ret->size = (size_t)(end - text) + 1;
	return true;
}

/* From behind exec: a word, what Python is given besides, and what the script is given. */
static bool parse_exec(const char *from, const char *end, struct shebang *ret)
{
	const char *to = end - strlen(SHELL_ARGUMENTS);
	_cleanup_buffer_ struct buffer path = { 0 };
	size_t n;

	if (to < from || memcmp(to, SHELL_ARGUMENTS, strlen(SHELL_ARGUMENTS)) != 0)
		return false;
	n = shell_word_parse(from, (size_t)(to - from), &path);
	from += n;
	if (!n || from == to || !is_blank(*from) || !path.size || *path.data != '/')
		return false;
	trim(&from, &to);
	ret->interpreter = buffer_steal_text(&path);
	ret->argument = from;
	ret->argument_size = (size_t)(to - from);
	return true;
}

static bool parse_shell(const char *text, size_t size, struct shebang *ret)
{
	const char *end = memchr(text + strlen(SHELL_START), '\n', size - strlen(SHELL_START));
	const char *rest = end ? end + 1 : NULL;

	if (!rest || (size_t)(text + size - rest) < strlen(SHELL_END) ||
		memcmp(rest, SHELL_END, strlen(SHELL_END)) != 0)
		return false;
	if (!is_text(text + strlen(SHELL_START), end))
		return false;
	ret->is_shell = true;
	ret->size = (size_t)(rest - text);
	return parse_exec(text + strlen(SHELL_START), end, ret);
}

bool shebang_parse(const char *text, size_t size, struct shebang *ret)
{
	*ret = (struct shebang){ 0 };
	if (size < 2 || memcmp(text, "#!", 2) != 0)
		return false;
	if (size >= strlen(SHELL_START) && memcmp(text, SHELL_START, strlen(SHELL_START)) == 0)
		return parse_shell(text, size, ret);
	return parse_line(text, size, ret);
}

void shebang_deinit(struct shebang *shebang)
{
	free(shebang->interpreter);
	*shebang = (struct shebang){ 0 };
}

/* ---- writing */

static void add_argument(const struct shebang *shebang, struct buffer *ret)
{
	_cleanup_free_ char *argument = NULL;

	if (!shebang->argument_size)
		return;
	buffer_append_text(ret, " ");
	if (shebang->is_shell) {
		buffer_append(ret, shebang->argument, shebang->argument_size);
		return;
	}
	/* The kernel makes one argument of it, whatever it holds. */
	argument = text_format("%.*s", (int)shebang->argument_size, shebang->argument);
	shell_word_format(argument, ret);
}

static bool fits_line(const struct shebang *shebang, const char *interpreter)
{
	size_t n = strlen("#!") + strlen(interpreter);

	if (shebang->argument_size)
		n += strlen(" ") + shebang->argument_size;
	return !strchr(interpreter, ' ') && n <= LINE_LIMIT;
}

void shebang_format(const struct shebang *shebang, const char *interpreter, struct buffer *ret)
{
	if (!shebang->is_shell && fits_line(shebang, interpreter)) {
		buffer_format(ret, "#!%s%s%.*s\n", interpreter, shebang->argument_size ? " " : "",
			(int)shebang->argument_size, shebang->argument);
		return;
	}
	buffer_append_text(ret, SHELL_START);
	shell_word_format(interpreter, ret);
	add_argument(shebang, ret);
	buffer_append_text(ret, " " SHELL_ARGUMENTS "\n");
	if (!shebang->is_shell)
		buffer_append_text(ret, SHELL_END "\n");
}
