/*
 * What is replaced is the word, quotes and all, that VIRTUAL_ENV is set to: others in
 * the file (is it still there? where is the other script?) are written in the same way by
 * whatever wrote that one.
 */
#include "daemon/worker/activate.h"

#include "daemon/worker/shell-word.h"

static const char *const settings[] = {
	"VIRTUAL_ENV=",
	"export VIRTUAL_ENV=",
	"setenv VIRTUAL_ENV ",
	"set -gx VIRTUAL_ENV ",
};

/* Behind "VIRTUAL_ENV=" or the like at @at; NULL. */
static const char *find_value(const char *at, const char *end)
{
	size_t i, n;

	while (at < end && (*at == ' ' || *at == '\t'))
		at++;
	for (i = 0; i < ARRAY_SIZE(settings); i++) {
		n = strlen(settings[i]);
		if ((size_t)(end - at) > n && memcmp(at, settings[i], n) == 0)
			return at + n;
	}
	return NULL;
}

/* The word that stands for the first absolute path; its length, or 0. */
static size_t find_word(const char *text, size_t size, const char **ret, struct buffer *path)
{
	const char *end = text + size, *at = text, *value, *newline;
	size_t n;

	while (at < end) {
		value = find_value(at, end);
		path->size = 0;
		n = value ? shell_word_parse(value, (size_t)(end - value), path) : 0;
		/* More than "/". */
		if (n && path->size > 1 && *path->data == '/') {
			*ret = value;
			return n;
		}
		newline = memchr(at, '\n', (size_t)(end - at));
		at = newline ? newline + 1 : end;
	}
	return 0;
}

/* Without quotes, /venv also begins /venv2. */
static bool is_whole(const char *at, size_t n, const char *text, const char *end)
{
	if (*at != '/')
		return true;
	return !(at > text && at[-1] != '=' && shell_word_is_plain(at[-1])) &&
		!(at + n < end && shell_word_is_plain(at[n]));
}

bool activate_retarget(const char *text, size_t size, const char *prefix, struct buffer *ret)
{
	const char *end = text + size, *from = text, *word, *at;
	_cleanup_buffer_ struct buffer path = { 0 };
	size_t n = find_word(text, size, &word, &path);

	if (!n)
		return false;
	while ((at = memmem(from, (size_t)(end - from), word, n))) {
		buffer_append(ret, from, (size_t)(at - from));
		if (is_whole(at, n, text, end))
			shell_word_format(prefix, ret);
		else
			buffer_append(ret, at, n);
		from = at + n;
	}
	buffer_append(ret, from, (size_t)(end - from));
	return true;
}
