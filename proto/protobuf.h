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

enum protobuf_type {
	PROTOBUF_VARINT = 0,
	PROTOBUF_FIXED64 = 1,
	PROTOBUF_BYTES = 2,
	PROTOBUF_FIXED32 = 5,
};

struct protobuf {
	const uint8_t *at, *end; /* borrowed */
	bool is_malformed;
};

struct protobuf_field {
	uint32_t number;
	enum protobuf_type type;
	uint64_t value; /* of a varint; else 0 */
	const uint8_t *data; /* of bytes, borrowed; else NULL */
	size_t size;
};

static inline struct protobuf protobuf_from(const uint8_t *data, size_t size)
{
	return (struct protobuf){ .at = data, .end = size ? data + size : data };
}

/* False at the end, and at what is no field: then bytes->is_malformed. */
bool protobuf_next(struct protobuf *bytes, struct protobuf_field *ret);

void protobuf_put_varint(struct buffer *buffer, uint32_t number, uint64_t value);
void protobuf_put_bytes(struct buffer *buffer, uint32_t number, const void *data, size_t size);
void protobuf_put_text(struct buffer *buffer, uint32_t number, const char *text);
