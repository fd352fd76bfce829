#pragma once
/* Bytes as text and back, with the alphabet of RFC 4648, chapter 4. Any thread. */
#include "base/buffer.h"

/* Appends, without the padding. */
void base64_encode(const uint8_t *data, size_t size, struct buffer *ret);
/* Appends; with or without padding. -EBADMSG: a letter that is none. */
int base64_decode(const char *text, size_t size, struct buffer *ret);
