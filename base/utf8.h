#pragma once
/* UTF-8. Any thread. */
#include <stdbool.h>
#include <stddef.h>

/* Whether all of it is well-formed: no surrogates, nothing longer than needed.
 * A NUL is a character like others. */
bool utf8_is_valid(const char *text, size_t size);

/* Where to cut @text so that at most @limit bytes are left and no character is
 * torn. */
size_t utf8_cut(const char *text, size_t size, size_t limit);

/* Puts '?' for every byte that is not part of a well-formed character. */
void utf8_repair(char *text, size_t size);
