/*
 * Bytes as a requirements file: what is accepted, written again and read again, is the
 * same; and in public no URL has a user.
 */
#include <stdint.h>
#include "base/utf8.h"
#include "proto/requirements-line.h"
#include "proto/requirements-scan.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* How the lines of a text are written, but for those that name files; false when one is
 * refused. */
static bool rewrite(const char *text, size_t size, bool is_public, struct buffer *ret)
{
	struct requirements_scan scan = { .text = text, .size = size };
	struct error err = { 0 };
	int r;

	for (;;) {
		_cleanup_(requirements_line_deinit) struct requirements_line line = { 0 };
		_cleanup_free_ char *found = NULL;

		r = requirements_scan_next(&scan, &found, &err);
		if (r == 0 && !found)
			return true;
		if (r == 0)
			r = requirements_line_parse(found, false, &line, &err);
		if (r && !utf8_is_valid(err.text, strlen(err.text)))
			abort();
		if (r)
			return false;
		if (line.kind != REQUIREMENTS_INCLUDE && line.kind != REQUIREMENTS_CONSTRAINT)
			requirements_line_format(&line, is_public, ret);
	}
}

static void expect_no_users(const struct buffer *public)
{
	_cleanup_free_ char *text = text_format("%.*s", (int)public->size, (char *)public->data);
	const char *at = text;
	size_t n;

	while ((at = strstr(at, "://"))) {
		at += 3;
		n = strcspn(at, "/?# \t\n\"'");
		if (memchr(at, '@', n))
			abort();
	}
}

static void check(const char *text, size_t size, bool is_public)
{
	_cleanup_buffer_ struct buffer once = { 0 }, twice = { 0 };

	if (!rewrite(text, size, is_public, &once))
		return;
	if (is_public && once.size)
		expect_no_users(&once);
	if (!rewrite((const char *)once.data, once.size, is_public, &twice))
		abort();
	if (once.size != twice.size || (once.size && memcmp(once.data, twice.data, once.size)))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	check((const char *)data, size, false);
	check((const char *)data, size, true);
	return 0;
}
