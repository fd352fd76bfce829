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

bool http2_field_is(const struct http2_field *field, const char *name)
{
	return strlen(name) == field->name_size && memcmp(field->name, name, field->name_size) == 0;
}

bool http2_field_has(const struct http2_field *field, const char *value)
{
	return strlen(value) == field->value_size &&
		memcmp(field->value, value, field->value_size) == 0;
}

static bool is_token_character(uint8_t c)
{
	/* Letters are checked by the caller: which case is allowed differs. */
	return (c >= '0' && c <= '9') || (c && strchr("!#$%&'*+-.^_`|~", c));
}

static bool is_name(const char *name, size_t size)
{
	size_t i;

	for (i = 0; i < size; i++)
		if (!(name[i] >= 'a' && name[i] <= 'z') && !is_token_character((uint8_t)name[i]))
			return false;
	return size > 0;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

static bool is_value(const char *value, size_t size)
{
	size_t i;

	for (i = 0; i < size; i++) {
		uint8_t c = (uint8_t)value[i];

		if ((c < ' ' && c != '\t') || c == 0x7f)
			return false;
	}
	return !size || (!is_blank(value[0]) && !is_blank(value[size - 1]));
}

static bool is_visible(const char *value, size_t size)
{
	size_t i;

	for (i = 0; i < size; i++)
		if ((uint8_t)value[i] <= ' ' || (uint8_t)value[i] == 0x7f)
			return false;
	return true;
}

static bool is_letter(uint8_t c)
{
	return (c | 32) >= 'a' && (c | 32) <= 'z';
}

static bool is_method(const char *value, size_t size)
{
	size_t i;

	for (i = 0; i < size; i++)
		if (!is_letter((uint8_t)value[i]) && !is_token_character((uint8_t)value[i]))
			return false;
	return size > 0;
}

static bool is_scheme(const char *value, size_t size)
{
	size_t i;

	for (i = 0; i < size; i++) {
		uint8_t c = (uint8_t)value[i];
		bool is_other = (c >= '0' && c <= '9') || c == '+' || c == '-' || c == '.';

		if (!is_letter(c) && (i == 0 || !is_other))
			return false;
	}
	return size > 0;
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
		return is_visible(field->value, field->value_size);
	case METHOD:
		message->is_connect = http2_field_has(field, "CONNECT");
		message->is_options = http2_field_has(field, "OPTIONS");
		return is_method(field->value, field->value_size);
	case PATH:
		message->is_asterisk = http2_field_has(field, "*");
		return field->value_size && (field->value[0] == '/' || message->is_asterisk) &&
			is_visible(field->value, field->value_size);
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
	if (!is_name(field->name, field->name_size) || !is_value(field->value, field->value_size))
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
