#include "proto/http2-fields.h"

#include <string.h>
#include <strings.h>

enum {
	AUTHORITY = 1,
	METHOD = 2,
	PATH = 4,
	SCHEME = 8,
	STATUS = 16,
};

/* What each character may be part of. */
enum {
	NAME = 1,
	METHOD_NAME = 2,
	VALUE = 4,
	VISIBLE = 8,
	SCHEME_NAME = 16,
	LETTER = 32,
};

#define SEEN (VALUE | VISIBLE)
#define TOKEN (NAME | METHOD_NAME | VALUE | VISIBLE)

/* In the order of the characters. */
static const uint8_t classes[256] = {
	['\t'] = VALUE,
	[' '] = VALUE,
	['!'] = TOKEN,
	['"'] = SEEN,
	['#' ... '\''] = TOKEN,
	['(' ... ')'] = SEEN,
	['*'] = TOKEN,
	['+'] = TOKEN | SCHEME_NAME,
	[','] = SEEN,
	['-' ... '.'] = TOKEN | SCHEME_NAME,
	['/'] = SEEN,
	['0' ... '9'] = TOKEN | SCHEME_NAME,
	[':' ... '@'] = SEEN,
	['A' ... 'Z'] = SEEN | METHOD_NAME | SCHEME_NAME | LETTER,
	['[' ... ']'] = SEEN,
	['^' ... '`'] = TOKEN,
	['a' ... 'z'] = TOKEN | SCHEME_NAME | LETTER,
	['{'] = SEEN,
	['|'] = TOKEN,
	['}'] = SEEN,
	['~'] = TOKEN,
	[0x80 ... 0xff] = SEEN,
};

static bool is_all(const char *text, size_t size, uint8_t class)
{
	uint8_t common = 0xff;
	size_t i;

	for (i = 0; i < size; i++)
		common &= classes[(uint8_t)text[i]];
	return common & class;
}

static bool is_value(const char *value, size_t size)
{
	return !size ||
		(is_all(value, size, VALUE) && (classes[(uint8_t)value[0]] & VISIBLE) &&
			(classes[(uint8_t)value[size - 1]] & VISIBLE));
}

static bool is_scheme(const char *value, size_t size)
{
	return size && is_all(value, size, SCHEME_NAME) && (classes[(uint8_t)value[0]] & LETTER);
}

static bool equals_ignoring_case(const struct http2_field *field, const char *value)
{
	return strlen(value) == field->value_size &&
		strncasecmp(field->value, value, field->value_size) == 0;
}

static bool parse_number(const struct http2_field *field, uint64_t *ret)
{
	uint64_t value = 0;
	size_t i;

	if (!field->value_size || field->value_size > 18)
		return false;
	for (i = 0; i < field->value_size; i++) {
		if (field->value[i] < '0' || field->value[i] > '9')
			return false;
		value = value * 10 + (uint64_t)(field->value[i] - '0');
	}
	*ret = value;
	return true;
}

void http2_message_begin(struct http2_message *message, bool is_request)
{
	message->pseudo = 0;
	message->has_regular = false;
	if (message->has_fields)
		message->block = HTTP2_TRAILERS;
	else
		message->block = is_request ? HTTP2_REQUEST : HTTP2_RESPONSE;
}

static unsigned which_pseudo(const struct http2_field *field)
{
	static const struct {
		const char *name;
		unsigned bit;
	} all[] = {
		{ ":authority", AUTHORITY },
		{ ":method", METHOD },
		{ ":path", PATH },
		{ ":scheme", SCHEME },
		{ ":status", STATUS },
	};
	size_t i;

	for (i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		if (http2_field_is(field, all[i].name))
			return all[i].bit;
	return 0;
}

static bool take_status(struct http2_message *message, const struct http2_field *field)
{
	uint64_t status;

	if (field->value_size != 3 || !parse_number(field, &status))
		return false;
	message->status = (int)status;
	/* HTTP/2 has no 101. */
	return status >= 100 && status != 101;
}

static bool take_pseudo(struct http2_message *message, const struct http2_field *field)
{
	unsigned bit = which_pseudo(field);

	if (!bit || message->has_regular || message->block == HTTP2_TRAILERS)
		return false;
	if ((bit == STATUS) != (message->block == HTTP2_RESPONSE) || (message->pseudo & bit))
		return false;
	message->pseudo |= bit;
	switch (bit) {
	case AUTHORITY:
		return is_all(field->value, field->value_size, VISIBLE);
	case METHOD:
		message->is_connect = http2_field_has(field, "CONNECT");
		message->is_options = http2_field_has(field, "OPTIONS");
		return field->value_size && is_all(field->value, field->value_size, METHOD_NAME);
	case PATH:
		message->is_asterisk = http2_field_has(field, "*");
		return field->value_size && (field->value[0] == '/' || message->is_asterisk) &&
			is_all(field->value, field->value_size, VISIBLE);
	case SCHEME:
		return is_scheme(field->value, field->value_size);
	default:
		return take_status(message, field);
	}
}

static bool is_of_the_connection(const struct http2_field *field)
{
	return http2_field_is(field, "connection") || http2_field_is(field, "keep-alive") ||
		http2_field_is(field, "proxy-connection") ||
		http2_field_is(field, "transfer-encoding") || http2_field_is(field, "upgrade");
}

static bool take_length(struct http2_message *message, const struct http2_field *field)
{
	if (message->block == HTTP2_TRAILERS)
		return true;
	if (message->has_length || !parse_number(field, &message->length))
		return false;
	message->has_length = true;
	return true;
}

bool http2_message_add(struct http2_message *message, const struct http2_field *field)
{
	if (field->name_size && field->name[0] == ':')
		return take_pseudo(message, field);
	message->has_regular = true;
	if (!field->name_size || !is_all(field->name, field->name_size, NAME) ||
		!is_value(field->value, field->value_size))
		return false;
	switch (field->name[0]) {
	case 'c':
		if (http2_field_is(field, "content-length"))
			return take_length(message, field);
		return !is_of_the_connection(field);
	case 'k':
	case 'p':
	case 'u':
		return !is_of_the_connection(field);
	case 't':
		if (http2_field_is(field, "te"))
			return equals_ignoring_case(field, "trailers");
		return !is_of_the_connection(field);
	default:
		return true;
	}
}

static bool has_needed_pseudo(const struct http2_message *message)
{
	switch (message->block) {
	case HTTP2_REQUEST:
		if (message->is_connect)
			return message->pseudo == (METHOD | AUTHORITY);
		if (message->is_asterisk && !message->is_options)
			return false;
		return (message->pseudo & ~(unsigned)AUTHORITY) == (METHOD | SCHEME | PATH);
	case HTTP2_RESPONSE:
		return message->pseudo == STATUS;
	case HTTP2_TRAILERS:
		return message->pseudo == 0;
	}
	return false;
}

bool http2_message_is_interim(const struct http2_message *message)
{
	return message->block == HTTP2_RESPONSE && message->status < 200;
}

bool http2_message_complete(struct http2_message *message, bool is_end)
{
	if (!has_needed_pseudo(message))
		return false;
	if (http2_message_is_interim(message)) {
		message->has_length = false;
		return !is_end;
	}
	if (message->block == HTTP2_TRAILERS)
		return is_end;
	message->has_fields = true;
	/* The tunnel that follows has no length. */
	if (message->is_connect)
		message->has_length = false;
	return true;
}

bool http2_message_data(struct http2_message *message, size_t size)
{
	message->received += size;
	return message->has_fields &&
		(!message->has_length || message->received <= message->length);
}

bool http2_message_end(const struct http2_message *message)
{
	return message->has_fields &&
		(!message->has_length || message->received == message->length);
}
