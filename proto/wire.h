#pragma once
/*
 * Protobuf's wire format, field by field, for what has to be seen before a
 * message is unpacked and for messages too small to be worth generated code.
 * Any thread.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/buffer.h"

enum wire_type {
	WIRE_VARINT = 0,
	WIRE_FIXED64 = 1,
	WIRE_BYTES = 2,
	WIRE_FIXED32 = 5,
};

struct wire {
	const uint8_t *at, *end; /* borrowed */
	bool is_malformed;
};

struct wire_field {
	uint32_t number;
	enum wire_type type;
	uint64_t value; /* of a varint; else 0 */
	const uint8_t *data; /* of bytes, borrowed; else NULL */
	size_t size;
};

static inline struct wire wire_from(const uint8_t *data, size_t size)
{
	return (struct wire){ .at = data, .end = size ? data + size : data };
}

/* False at the end, and at what is no field: then wire->is_malformed. */
bool wire_next(struct wire *wire, struct wire_field *ret);

void wire_put_varint(struct buffer *buffer, uint32_t number, uint64_t value);
void wire_put_bytes(struct buffer *buffer, uint32_t number, const void *data, size_t size);
void wire_put_text(struct buffer *buffer, uint32_t number, const char *text);
