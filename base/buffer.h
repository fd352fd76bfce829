#pragma once
/*
 * A growing run of bytes. Zeroed is empty. Sizes from outside are compared with
 * a limit before they get here.
 */
#include <stddef.h>
#include <stdint.h>
#include "base/util.h"

struct buffer {
	uint8_t *data; /* owned; NULL while empty */
	size_t size, allocated;
};

void buffer_deinit(struct buffer *buffer);
void buffer_append(struct buffer *buffer, const void *data, size_t size);
void buffer_append_text(struct buffer *buffer, const char *text); /* without the NUL */
void buffer_format(struct buffer *buffer, const char *format, ...) _printf_(2, 3);
/* Room for @size more bytes at the end; add to buffer->size what was used. */
uint8_t *buffer_reserve(struct buffer *buffer, size_t size);
/* Removes from the front. */
void buffer_consume(struct buffer *buffer, size_t size);
/* The content as text with a NUL, taken out; owned by the caller, never NULL. */
char *buffer_steal_text(struct buffer *buffer);

#define _cleanup_buffer_ _cleanup_(buffer_deinit)
