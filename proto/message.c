/*
 * protobuf-c unpacks what it is given and trusts it in three ways: a string may
 * be any bytes (and one with a NUL is silently shortened by whoever reads it as
 * text), messages may be nested until the stack is gone, and two bytes of input
 * may ask for a hundred bytes of memory, eight million times over. So the bytes
 * are walked first, beside the descriptors, and the memory is counted.
 */
#include "proto/message.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "base/utf8.h"
#include "proto/protobuf.h"

/* What one message may take when unpacked. */
#define MAX_MEMORY (128UL << 20)
#define PREFIX_SIZE 5

/* A chain from the inside out: where in the message we are. */
struct place {
	const struct place *outer;
	const char *name;
	unsigned depth;
};

static size_t format_place(const struct place *place, char *text, size_t size)
{
	size_t n = 0;
	int r;

	if (!place || !place->name)
		return 0;
	n = format_place(place->outer, text, size);
	r = snprintf(text + n, size - n, "%s%s", n ? "." : "", place->name);
	return r > 0 && (size_t)r < size - n ? n + (size_t)r : n;
}

static int wrong(struct error *err, const struct place *place, const char *words)
{
	char text[256] = "message";

	format_place(place, text, sizeof(text));
	return fail(err, -EINVAL, "REQUEST_INVALID", "%s: %s", text, words);
}

static int check_text(
	const struct protobuf_field *field, const struct place *place, struct error *err)
{
	if (field->size && memchr(field->data, 0, field->size))
		return wrong(err, place, "holds a NUL");
	if (!utf8_is_valid((const char *)field->data, field->size))
		return wrong(err, place, "not UTF-8");
	return 0;
}

static int check(const ProtobufCMessageDescriptor *descriptor, struct protobuf bytes,
	const struct place *place, struct error *err)
{
	const ProtobufCFieldDescriptor *known;
	struct protobuf_field field;
	int r;

	if (place->depth > MESSAGE_MAX_DEPTH)
		return wrong(err, place, "nested too deeply");
	while (protobuf_next(&bytes, &field)) {
		struct place here = { .outer = place, .depth = place->depth + 1 };

		if (field.type != PROTOBUF_BYTES)
			continue;
		known = protobuf_c_message_descriptor_get_field(descriptor, field.number);
		if (!known)
			continue;
		here.name = known->name;
		r = 0;
		if (known->type == PROTOBUF_C_TYPE_STRING)
			r = check_text(&field, &here, err);
		else if (known->type == PROTOBUF_C_TYPE_MESSAGE)
			r = check(known->descriptor, protobuf_from(field.data, field.size), &here,
				err);
		if (r)
			return r;
	}
	return bytes.is_malformed ? wrong(err, place, "truncated or malformed") : 0;
}

/* Not freeing what is freed again is good enough: unpacking hardly frees. */
static void *allocate_counted(void *data, size_t size)
{
	size_t *left = data;

	if (size > *left)
		return NULL;
	*left -= size;
	return malloc(size ? size : 1);
}

static void free_counted(void *data, void *pointer)
{
	free(pointer);
}

int message_unpack(const ProtobufCMessageDescriptor *descriptor, const uint8_t *data, size_t size,
	ProtobufCMessage **ret, struct error *err)
{
	struct place place = { 0 };
	size_t left = MAX_MEMORY;
	ProtobufCAllocator allocator = {
		.alloc = allocate_counted,
		.free = free_counted,
		.allocator_data = &left,
	};
	ProtobufCMessage *message;
	int r;

	if (!size)
		data = (const uint8_t *)"";
	r = check(descriptor, protobuf_from(data, size), &place, err);
	if (r)
		return r;
	message = protobuf_c_message_unpack(descriptor, &allocator, size, data);
	if (!message)
		return fail(err, -EINVAL, "REQUEST_INVALID", "message: not a %s that can be read",
			descriptor->name);
	*ret = message;
	return 0;
}

void *message_free(void *message)
{
	/* The memory came from malloc(), which is what no allocator means. */
	if (message)
		protobuf_c_message_free_unpacked(message, NULL);
	return NULL;
}

void message_cleanup(void *pointer)
{
	void **message = pointer;

	message_free(*message);
}

void message_pack(const ProtobufCMessage *message, struct buffer *buffer)
{
	size_t size = protobuf_c_message_get_packed_size(message);

	buffer->size += protobuf_c_message_pack(message, buffer_reserve(buffer, size));
}

static void put_prefix(size_t size, uint8_t *at)
{
	at[0] = 0;
	at[1] = (uint8_t)(size >> 24);
	at[2] = (uint8_t)(size >> 16);
	at[3] = (uint8_t)(size >> 8);
	at[4] = (uint8_t)size;
}

void message_frame(const void *data, size_t size, struct buffer *buffer)
{
	put_prefix(size, buffer_reserve(buffer, PREFIX_SIZE + size));
	buffer->size += PREFIX_SIZE;
	buffer_append(buffer, data, size);
}

void message_pack_framed(const ProtobufCMessage *message, struct buffer *buffer)
{
	size_t size = protobuf_c_message_get_packed_size(message);
	uint8_t *at = buffer_reserve(buffer, PREFIX_SIZE + size);

	put_prefix(size, at);
	protobuf_c_message_pack(message, at + PREFIX_SIZE);
	buffer->size += PREFIX_SIZE + size;
}
