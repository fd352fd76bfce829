#include "proto/protobuf.h"

#include <string.h>

static bool get_varint(struct protobuf *bytes, uint64_t *ret)
{
	uint64_t value = 0;
	unsigned shift;

	for (shift = 0; shift < 70 && bytes->at < bytes->end; shift += 7) {
		uint8_t byte = *bytes->at++;

		if (shift < 64)
			value |= (uint64_t)(byte & 0x7f) << shift;
		if (!(byte & 0x80)) {
			*ret = value;
			return true;
		}
	}
	return false;
}

static bool skip(struct protobuf *bytes, size_t size)
{
	if ((size_t)(bytes->end - bytes->at) < size)
		return false;
	bytes->at += size;
	return true;
}

static bool get_field(struct protobuf *bytes, struct protobuf_field *field)
{
	uint64_t key, size;

	if (!get_varint(bytes, &key) || key > UINT32_MAX || key < 8)
		return false;
	field->number = (uint32_t)(key >> 3);
	field->type = (enum protobuf_type)(key & 7);
	switch (field->type) {
	case PROTOBUF_VARINT:
		return get_varint(bytes, &field->value);
	case PROTOBUF_FIXED64:
		return skip(bytes, 8);
	case PROTOBUF_FIXED32:
		return skip(bytes, 4);
	case PROTOBUF_BYTES:
		if (!get_varint(bytes, &size) || size > (uint64_t)(bytes->end - bytes->at))
			return false;
		field->data = bytes->at;
		field->size = (size_t)size;
		return skip(bytes, (size_t)size);
	}
	return false;
}

bool protobuf_next(struct protobuf *bytes, struct protobuf_field *ret)
{
	*ret = (struct protobuf_field){ 0 };
	if (bytes->is_malformed || bytes->at == bytes->end)
		return false;
	if (get_field(bytes, ret))
		return true;
	bytes->is_malformed = true;
	return false;
}

static void put(struct buffer *buffer, uint64_t value)
{
	uint8_t *at = buffer_reserve(buffer, 10);
	size_t n = 0;

	while (value >= 0x80) {
		at[n++] = (uint8_t)(value | 0x80);
		value >>= 7;
	}
	at[n++] = (uint8_t)value;
	buffer->size += n;
}

void protobuf_put_varint(struct buffer *buffer, uint32_t number, uint64_t value)
{
	put(buffer, (uint64_t)number << 3 | PROTOBUF_VARINT);
	put(buffer, value);
}

void protobuf_put_bytes(struct buffer *buffer, uint32_t number, const void *data, size_t size)
{
	put(buffer, (uint64_t)number << 3 | PROTOBUF_BYTES);
	put(buffer, size);
	buffer_append(buffer, data, size);
}

void protobuf_put_text(struct buffer *buffer, uint32_t number, const char *text)
{
	protobuf_put_bytes(buffer, number, text, strlen(text));
}
