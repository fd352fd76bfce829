#pragma once
/*
 * Words of a shell that mean themselves: a path, in quotes or without. What would be
 * expanded is none. sh, csh and fish agree on all of this. Any thread.
 */
#include <stdbool.h>
#include "base/buffer.h"

/* Means itself without quotes, wherever in a word it stands. */
bool shell_word_is_plain(char c);
/* The word that @text begins with: how long it is as it is written; what it means is
 * appended to @ret. 0 when it is none; then @ret holds nothing of use. */
size_t shell_word_parse(const char *text, size_t size, struct buffer *ret);
/* @value, which holds no line break and no backslash, as one word. */
void shell_word_format(const char *value, struct buffer *ret);
