#pragma once
/*
 * The first lines of a script, which name its interpreter. Two forms are known: the one
 * line that the kernel reads,
 *
 *	#!/venv/bin/python3 -E
 *
 * and what pip, uv and virtualenv write where that would be too long, or has blanks:
 * lines that start Python when a shell reads them, and are a string when Python does,
 *
 *	#!/bin/sh
 *	'''exec' "/my venv/bin/python3" -E "$0" "$@"
 *	' '''
 *
 * Pure. Any thread.
 */
#include "base/buffer.h"

#define SHEBANG_SIZE 8192 /* so much of a file's beginning is enough */

struct shebang {
	char *interpreter; /* absolute, without quotes; owned */
	const char *argument; /* as it is written; borrowed from the text, no NUL behind it */
	size_t argument_size; /* may be 0 */
	bool is_shell;
	size_t size; /* of what shebang_format() replaces */
};

/* False for anything else, and for what a shell would have to expand (uv's relocatable
 * environments). @ret is owned when true. */
bool shebang_parse(const char *text, size_t size, struct shebang *ret);
void shebang_deinit(struct shebang *shebang);
/* The same with another interpreter: an absolute path without line breaks and
 * backslashes. */
void shebang_format(const struct shebang *shebang, const char *interpreter, struct buffer *ret);
