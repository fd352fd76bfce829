#include "client/json-output.h"

#include <stdlib.h>
#include <string.h>
#include "base/base64.h"
#include "base/util.h"

/* A singular field, or one element of a repeated one, at @at. */
static json_t *value_of(const ProtobufCFieldDescriptor *field, const void *at);

static json_t *never_null(json_t *value)
{
	if (!value)
		abort();
	return value;
}

static json_t *text_value(const char *text, size_t size)
{
	json_t *value = json_stringn(text, size);

	/* Refused: not UTF-8. The library lets no such message through. */
	return never_null(value ? value : json_string("?"));
}

static json_t *unsigned_value(uint64_t value)
{
	return never_null(
		value > INT64_MAX ? json_real((double)value) : json_integer((json_int_t)value));
}

static json_t *enum_value(const ProtobufCEnumDescriptor *descriptor, int value)
{
	const ProtobufCEnumValue *known = protobuf_c_enum_descriptor_get_value(descriptor, value);

	return never_null(known ? json_string(known->name) : json_integer(value));
}

static json_t *bytes_value(const ProtobufCBinaryData *bytes)
{
	_cleanup_buffer_ struct buffer text = { 0 };

	base64_encode(bytes->data, bytes->len, &text);
	while (text.size % 4)
		buffer_append_text(&text, "=");
	return never_null(json_stringn((const char *)text.data, text.size));
}

static json_t *value_of(const ProtobufCFieldDescriptor *field, const void *at)
{
	switch (field->type) {
	case PROTOBUF_C_TYPE_INT32:
	case PROTOBUF_C_TYPE_SINT32:
	case PROTOBUF_C_TYPE_SFIXED32:
		return never_null(json_integer(*(const int32_t *)at));
	case PROTOBUF_C_TYPE_INT64:
	case PROTOBUF_C_TYPE_SINT64:
	case PROTOBUF_C_TYPE_SFIXED64:
		return never_null(json_integer(*(const int64_t *)at));
	case PROTOBUF_C_TYPE_UINT32:
	case PROTOBUF_C_TYPE_FIXED32:
		return unsigned_value(*(const uint32_t *)at);
	case PROTOBUF_C_TYPE_UINT64:
	case PROTOBUF_C_TYPE_FIXED64:
		return unsigned_value(*(const uint64_t *)at);
	case PROTOBUF_C_TYPE_FLOAT:
		return never_null(json_real((double)*(const float *)at));
	case PROTOBUF_C_TYPE_DOUBLE:
		return never_null(json_real(*(const double *)at));
	case PROTOBUF_C_TYPE_BOOL:
		return json_boolean(*(const protobuf_c_boolean *)at);
	case PROTOBUF_C_TYPE_ENUM:
		return enum_value(field->descriptor, *(const int *)at);
	case PROTOBUF_C_TYPE_STRING: {
		const char *text = *(char *const *)at;

		return text_value(text ? text : "", text ? strlen(text) : 0);
	}
	case PROTOBUF_C_TYPE_BYTES:
		return bytes_value(at);
	case PROTOBUF_C_TYPE_MESSAGE: {
		const ProtobufCMessage *message = *(ProtobufCMessage *const *)at;

		return message ? json_output_message(message) : json_null();
	}
	}
	abort();
}

static size_t size_of(const ProtobufCFieldDescriptor *field)
{
	switch (field->type) {
	case PROTOBUF_C_TYPE_INT64:
	case PROTOBUF_C_TYPE_SINT64:
	case PROTOBUF_C_TYPE_SFIXED64:
	case PROTOBUF_C_TYPE_UINT64:
	case PROTOBUF_C_TYPE_FIXED64:
	case PROTOBUF_C_TYPE_DOUBLE:
		return 8;
	case PROTOBUF_C_TYPE_BOOL:
		return sizeof(protobuf_c_boolean);
	case PROTOBUF_C_TYPE_STRING:
	case PROTOBUF_C_TYPE_MESSAGE:
		return sizeof(void *);
	case PROTOBUF_C_TYPE_BYTES:
		return sizeof(ProtobufCBinaryData);
	default:
		return 4;
	}
}

/* Generated code does not say what is a map; its entries are these, by name and
 * by shape, and nothing else in the interface ends in "Entry". */
static bool is_map(const ProtobufCFieldDescriptor *field)
{
	const ProtobufCMessageDescriptor *entry = field->descriptor;

	return field->type == PROTOBUF_C_TYPE_MESSAGE && text_ends_with(entry->name, "Entry") &&
		entry->n_fields == 2 && text_equal(entry->fields[0].name, "key") &&
		entry->fields[0].type == PROTOBUF_C_TYPE_STRING &&
		text_equal(entry->fields[1].name, "value");
}

static json_t *repeated_of(const ProtobufCFieldDescriptor *field, const void *message)
{
	const char *at = *(char *const *)(const void *)((const char *)message + field->offset);
	size_t i,
		n = *(const size_t *)(const void *)((const char *)message +
			field->quantifier_offset);
	json_t *value = never_null(is_map(field) ? json_object() : json_array());

	for (i = 0; i < n; i++, at += size_of(field)) {
		if (is_map(field)) {
			const char *entry = *(char *const *)(const void *)at;
			const ProtobufCMessageDescriptor *type = field->descriptor;
			const char *key = *(
				char *const *)(const void *)(entry + type->fields[0].offset);

			json_object_set_new(value, key ? key : "",
				value_of(&type->fields[1], entry + type->fields[1].offset));
		} else {
			json_array_append_new(value, value_of(field, at));
		}
	}
	return value;
}

/* Whether another member of the oneof is set, or none. */
static bool is_unset(const ProtobufCFieldDescriptor *field, const void *message)
{
	if (!(field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF))
		return false;
	return *(const uint32_t *)(const void *)((const char *)message +
		       field->quantifier_offset) != field->id;
}

json_t *json_output_message(const ProtobufCMessage *message)
{
	const ProtobufCMessageDescriptor *descriptor = message->descriptor;
	const ProtobufCFieldDescriptor *field;
	json_t *object = never_null(json_object());
	json_t *value;
	unsigned i;

	for (i = 0; i < descriptor->n_fields; i++) {
		field = &descriptor->fields[i];
		if (field->label == PROTOBUF_C_LABEL_REPEATED)
			value = repeated_of(field, message);
		else if (is_unset(field, message))
			value = json_null();
		else
			value = value_of(field, (const char *)message + field->offset);
		json_object_set_new(object, field->name, value);
	}
	return object;
}

void json_output_print(json_t *value, FILE *file)
{
	json_dumpf(value, file, JSON_INDENT(2));
	fputc('\n', file);
	json_decref(value);
}
