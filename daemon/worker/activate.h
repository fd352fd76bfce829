#pragma once
/*
 * A virtualenv's bin/activate, for sh, csh or fish, which names where it was made. Pure.
 * Any thread.
 */
#include "base/buffer.h"

/* Appends the whole @text with @prefix (a path without line breaks and backslashes) for
 * the one that it sets VIRTUAL_ENV to, wherever that stands. False, and nothing appended,
 * when there is no such thing: one that finds out by itself has none. */
bool activate_retarget(const char *text, size_t size, const char *prefix, struct buffer *ret);
