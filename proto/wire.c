#include "proto/wire.h"

#include <string.h>

static bool get_varint(struct wire *wire, uint64_t *ret)
{
	uint64_t value = 0;
	unsigned shift;

	for (shift = 0; shift < 70 && wire->at < wire->end; shift += 7) {
		uint8_t byte = *wire->at++;

		if (shift < 64)
			value |= (uint64_t)(byte & 0x7f) << shift;
		if (!(byte & 0x80)) {
			*ret = value;
			return true;
		}
	}
	return false;
}

static bool skip(struct wire *wire, size_t size)
{
	if ((size_t)(wire->end - wire->at) < size)
		return false;
	wire->at += size;
	return true;
}

static bool get_field(struct wire *wire, struct wire_field *field)
{
	uint64_t key, size;

	if (!get_varint(wire, &key) || key > UINT32_MAX || key < 8)
		return false;
	field->number = (uint32_t)(key >> 3);
	field->type = (enum wire_type)(key & 7);
	switch (field->type) {
	case WIRE_VARINT:
		return get_varint(wire, &field->value);
	case WIRE_FIXED64:
		return skip(wire, 8);
	case WIRE_FIXED32:
		return skip(wire, 4);
	case WIRE_BYTES:
		if (!get_varint(wire, &size) || size > (uint64_t)(wire->end - wire->at))
			return false;
		field->data = wire->at;
		field->size = (size_t)size;
		return skip(wire, (size_t)size);
	}
	return false;
}

bool wire_next(struct wire *wire, struct wire_field *ret)
{
	*ret = (struct wire_field){ 0 };
	if (wire->is_malformed || wire->at == wire->end)
		return false;
	if (get_field(wire, ret))
		return true;
	wire->is_malformed = true;
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

void wire_put_varint(struct buffer *buffer, uint32_t number, uint64_t value)
{
	put(buffer, (uint64_t)number << 3 | WIRE_VARINT);
	put(buffer, value);
}

void wire_put_bytes(struct buffer *buffer, uint32_t number, const void *data, size_t size)
{
	put(buffer, (uint64_t)number << 3 | WIRE_BYTES);
	put(buffer, size);
	buffer_append(buffer, data, size);
}

void wire_put_text(struct buffer *buffer, uint32_t number, const char *text)
{
	wire_put_bytes(buffer, number, text, strlen(text));
}
