#include "base/buffer.h"

#include <stdarg.h>
#include <stdio.h>

void buffer_deinit(struct buffer *buffer)
{
	free(buffer->data);
	*buffer = (struct buffer){ 0 };
}

uint8_t *buffer_reserve(struct buffer *buffer, size_t size)
{
	size_t wanted = buffer->size + size, allocated = buffer->allocated ? buffer->allocated : 64;

	if (wanted < size)
		abort();
	while (allocated < wanted)
		allocated *= 2;
	if (allocated != buffer->allocated) {
		buffer->data = realloc(buffer->data, allocated);
		if (!buffer->data)
			abort();
		buffer->allocated = allocated;
	}
	return buffer->data + buffer->size;
}

void buffer_append(struct buffer *buffer, const void *data, size_t size)
{
	if (!size)
		return;
	memcpy(buffer_reserve(buffer, size), data, size);
	buffer->size += size;
}

void buffer_append_text(struct buffer *buffer, const char *text)
{
	buffer_append(buffer, text, strlen(text));
}

void buffer_format(struct buffer *buffer, const char *format, ...)
{
	_cleanup_free_ char *text = NULL;
	va_list args;

	va_start(args, format);
	text = text_vformat(format, args);
	va_end(args);
	buffer_append_text(buffer, text);
}

void buffer_consume(struct buffer *buffer, size_t size)
{
	/* An empty buffer has no data to move, and moving none is free anyway. */
	if (!size)
		return;
	memmove(buffer->data, buffer->data + size, buffer->size - size);
	buffer->size -= size;
}

char *buffer_steal_text(struct buffer *buffer)
{
	char *text;

	buffer_append(buffer, "", 1);
	text = (char *)buffer->data;
	*buffer = (struct buffer){ 0 };
	return text;
}
