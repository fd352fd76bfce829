#include "base/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void _printf_(4, 0)
	set(struct error *err, int r, const char *reason, const char *format, va_list args)
{
	err->r = r;
	snprintf(err->reason, sizeof(err->reason), "%s", reason ? reason : "");
	vsnprintf(err->text, sizeof(err->text), format, args);
}

int fail(struct error *err, int r, const char *reason, const char *format, ...)
{
	va_list args;

	if (!err)
		return r;
	va_start(args, format);
	set(err, r, reason, format, args);
	va_end(args);
	return r;
}

int fail_errno(struct error *err, int r, const char *reason, const char *format, ...)
{
	va_list args;
	size_t n;

	if (!err)
		return r;
	va_start(args, format);
	set(err, r, reason, format, args);
	va_end(args);
	n = strlen(err->text);
	snprintf(err->text + n, sizeof(err->text) - n, ": %s", strerror(-r));
	return r;
}

void error_prefix(struct error *err, const char *format, ...)
{
	char text[sizeof(err->text)];
	va_list args;
	size_t n;

	if (!err || !err->r)
		return;
	memcpy(text, err->text, sizeof(text));
	va_start(args, format);
	vsnprintf(err->text, sizeof(err->text), format, args);
	va_end(args);
	n = strlen(err->text);
	snprintf(err->text + n, sizeof(err->text) - n, ": %s", text);
}

int fold_at(int r, const char *file, int line)
{
	if (r > 0) {
		fprintf(stderr, "<0>bug file=%s line=%d outcome=%d\n", file, line, r);
		abort();
	}
	return r;
}
