#pragma once
/*
 * Why something failed, in words, beside the integer that says that it did.
 *
 * Functions return 0 for done, a negative errno for a failure, which is passed
 * up unchanged, and a positive value for an outcome that their header names and
 * their direct caller handles. Where somebody will want to know why, the last
 * parameter is a struct error; finding and returning are one line:
 *
 *	return fail(err, -EBADMSG, "ARCHIVE_CORRUPT", "'%s' ends too early", path);
 *
 * A struct error is a plain value: copied freely, never freed, any thread.
 */
#include <stddef.h>
#include "base/util.h"

struct error {
	int r; /* the negative errno; 0 while there is no error */
	char reason[32]; /* for machines: a name in UPPER_CASE; may be empty */
	char text[728]; /* for people */
};

/* Fills @err (which may be NULL) and returns @r. @reason may be NULL. */
int fail(struct error *err, int r, const char *reason, const char *format, ...) _printf_(4, 5);

/* The same with ": <what errno means>" behind the words. */
int fail_errno(struct error *err, int r, const char *reason, const char *format, ...)
	_printf_(4, 5);

/* Puts "<words>: " in front of the text. Does nothing without an error. */
void error_prefix(struct error *err, const char *format, ...) _printf_(2, 3);

/* For an outcome that cannot happen here: ends the program in a way that names
 * the place. Returns @r when it is 0 or negative. */
#define fold(r) fold_at((r), __FILE__, __LINE__)
int fold_at(int r, const char *file, int line);
