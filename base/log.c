#include "base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* The one global variable: written once before there is a second thread. */
static enum log_level max_level = LOG_LEVEL_INFO;

void log_set_level(enum log_level level)
{
	max_level = level;
}

int log_parse_level(const char *text, enum log_level *ret)
{
	static const struct {
		const char *name;
		enum log_level level;
	} levels[] = {
		{ "error", LOG_LEVEL_ERROR },
		{ "warning", LOG_LEVEL_WARNING },
		{ "info", LOG_LEVEL_INFO },
		{ "debug", LOG_LEVEL_DEBUG },
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(levels); i++)
		if (text_equal(text, levels[i].name)) {
			*ret = levels[i].level;
			return 0;
		}
	return -EINVAL;
}

void log_event(enum log_level level, const char *event, const char *format, ...)
{
	char line[1400];
	va_list args;
	size_t n;

	if (level > max_level)
		return;
	n = (size_t)snprintf(line, sizeof(line), "<%d>%s ", (int)level, event);
	va_start(args, format);
	vsnprintf(line + n, sizeof(line) - n - 1, format, args);
	va_end(args);
	n = strlen(line);
	line[n++] = '\n';
	/* Nowhere to report it if even this fails. */
	(void)!write(STDERR_FILENO, line, n);
}

void log_failure(enum log_level level, const char *event, const struct error *err)
{
	char text[sizeof(err->text)];

	log_event(level, event, "reason=%s text='%s'", err->reason[0] ? err->reason : "-",
		log_text(text, sizeof(text), err->text));
}

const char *log_text(char *buffer, size_t size, const char *text)
{
	size_t i;

	for (i = 0; i + 1 < size && text && text[i]; i++) {
		unsigned char c = (unsigned char)text[i];

		buffer[i] = c < 32 || c == 127 ? '?' : c == '\'' ? '"' : text[i];
	}
	buffer[i] = 0;
	return buffer;
}
