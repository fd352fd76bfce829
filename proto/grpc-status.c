/*
 * The trailers must fit into what clients accept by default: 8 KiB of headers
 * (grpc-java and the C core). Hence words are cut at MAX_MESSAGE bytes, which
 * percent-encoding may treble, and details that grow beyond MAX_DETAILS go without
 * their metadata.
 */
#include "proto/grpc-status.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/base64.h"
#include "base/utf8.h"
#include "base/util.h"
#include "proto/grpc.h"
#include "proto/protobuf.h"

#define MAX_MESSAGE 1024
#define MAX_DETAILS 3072
#define MAX_METADATA 32
#define ERROR_INFO_URL "type.googleapis.com/google.rpc.ErrorInfo"
#define ERROR_DOMAIN "pyenvd"

/* Numbers of the fields in google/rpc/status.proto, google/protobuf/any.proto,
 * google/rpc/error_details.proto, and of the entries of any map. */
enum {
	STATUS_CODE = 1,
	STATUS_MESSAGE = 2,
	STATUS_DETAILS = 3,
	ANY_TYPE_URL = 1,
	ANY_VALUE = 2,
	ERROR_INFO_REASON = 1,
	ERROR_INFO_DOMAIN = 2,
	ERROR_INFO_METADATA = 3,
	ENTRY_KEY = 1,
	ENTRY_VALUE = 2,
};

const char *grpc_code_name(enum grpc_code code)
{
	static const char *const names[] = {
		"OK",
		"CANCELLED",
		"UNKNOWN",
		"INVALID_ARGUMENT",
		"DEADLINE_EXCEEDED",
		"NOT_FOUND",
		"ALREADY_EXISTS",
		"PERMISSION_DENIED",
		"RESOURCE_EXHAUSTED",
		"FAILED_PRECONDITION",
		"ABORTED",
		"OUT_OF_RANGE",
		"UNIMPLEMENTED",
		"INTERNAL",
		"UNAVAILABLE",
		"DATA_LOSS",
		"UNAUTHENTICATED",
	};

	return (size_t)code < ARRAY_SIZE(names) ? names[code] : "UNKNOWN";
}

void grpc_result_deinit(struct grpc_result *result)
{
	const char *const *text;

	for (text = result->metadata; text && *text; text++)
		free((char *)*text);
	free((void *)result->metadata);
	free((char *)result->message);
	free((char *)result->reason);
	*result = (struct grpc_result){ 0 };
}

static size_t message_size(const char *message)
{
	return utf8_cut(message, strlen(message), MAX_MESSAGE);
}

void grpc_message_encode(const char *message, struct buffer *ret)
{
	static const char digits[] = "0123456789ABCDEF";
	size_t i, n = message_size(message);
	uint8_t *at = buffer_reserve(ret, 3 * n);

	for (i = 0; i < n; i++) {
		uint8_t c = (uint8_t)message[i];

		if (c >= ' ' && c <= '~' && c != '%') {
			*at++ = c;
			continue;
		}
		*at++ = '%';
		*at++ = (uint8_t)digits[c >> 4];
		*at++ = (uint8_t)digits[c & 15];
	}
	ret->size = (size_t)(at - ret->data);
}

char *grpc_message_decode(const char *text, size_t size)
{
	char *message = alloc0(size + 1, 1);
	size_t i, n = 0;
	uint8_t byte;

	for (i = 0; i < size; i++) {
		char c = text[i];

		if (c == '%' && size - i > 2) {
			char hex[3] = { text[i + 1], text[i + 2], 0 };

			if (hex_parse(hex, &byte, 1) == 0) {
				c = (char)byte;
				i += 2;
			}
		}
		message[n++] = c ? c : '?';
	}
	if (!utf8_is_valid(message, n))
		for (i = 0; i < n; i++)
			if ((uint8_t)message[i] >= 0x80)
				message[i] = '?';
	return message;
}

static void put_error_info(const struct grpc_result *result, bool has_metadata, struct buffer *info)
{
	const char *const *text;

	protobuf_put_text(info, ERROR_INFO_REASON, result->reason);
	protobuf_put_text(info, ERROR_INFO_DOMAIN, ERROR_DOMAIN);
	for (text = result->metadata; has_metadata && text && text[0] && text[1]; text += 2) {
		_cleanup_buffer_ struct buffer entry = { 0 };

		protobuf_put_text(&entry, ENTRY_KEY, text[0]);
		protobuf_put_text(&entry, ENTRY_VALUE, text[1]);
		protobuf_put_bytes(info, ERROR_INFO_METADATA, entry.data, entry.size);
	}
}

static void put_status(const struct grpc_result *result, bool has_metadata, struct buffer *status)
{
	_cleanup_buffer_ struct buffer info = { 0 }, any = { 0 };
	const char *message = result->message ? result->message : "";

	put_error_info(result, has_metadata, &info);
	protobuf_put_text(&any, ANY_TYPE_URL, ERROR_INFO_URL);
	protobuf_put_bytes(&any, ANY_VALUE, info.data, info.size);
	protobuf_put_varint(status, STATUS_CODE, (uint64_t)result->code);
	protobuf_put_bytes(status, STATUS_MESSAGE, message, message_size(message));
	protobuf_put_bytes(status, STATUS_DETAILS, any.data, any.size);
}

void grpc_details_encode(const struct grpc_result *result, struct buffer *ret)
{
	_cleanup_buffer_ struct buffer status = { 0 };

	put_status(result, true, &status);
	if (status.size > MAX_DETAILS) {
		status.size = 0;
		put_status(result, false, &status);
	}
	base64_encode(status.data, status.size, ret);
}

static char *copy_text(const struct protobuf_field *field)
{
	char *text = alloc0(field->size + 1, 1);

	if (field->size)
		memcpy(text, field->data, field->size);
	return text;
}

/* The last field with this number; NULL data when there is none. */
static int find_bytes(const struct protobuf_field *in, uint32_t number, struct protobuf_field *ret)
{
	struct protobuf bytes = protobuf_from(in->data, in->size);
	struct protobuf_field field;

	*ret = (struct protobuf_field){ 0 };
	while (protobuf_next(&bytes, &field))
		if (field.number == number && field.type == PROTOBUF_BYTES)
			*ret = field;
	return bytes.is_malformed ? -EBADMSG : 0;
}

static int get_entry(const struct protobuf_field *in, char **ret)
{
	struct protobuf_field key, value;

	if (find_bytes(in, ENTRY_KEY, &key) || find_bytes(in, ENTRY_VALUE, &value))
		return -EBADMSG;
	ret[0] = copy_text(&key);
	ret[1] = copy_text(&value);
	return 0;
}

static int get_error_info(const struct protobuf_field *info, struct grpc_result *result)
{
	struct protobuf bytes = protobuf_from(info->data, info->size);
	struct protobuf_field field;
	char **metadata = new0_array(char *, 2 * MAX_METADATA + 1);
	size_t n = 0;

	result->metadata = (const char *const *)metadata;
	while (protobuf_next(&bytes, &field)) {
		if (field.type != PROTOBUF_BYTES)
			continue;
		if (field.number == ERROR_INFO_REASON && !result->reason)
			result->reason = copy_text(&field);
		if (field.number == ERROR_INFO_METADATA && n < MAX_METADATA &&
			get_entry(&field, metadata + 2 * n) == 0)
			n++;
	}
	return bytes.is_malformed ? -EBADMSG : 0;
}

int grpc_details_decode(const char *text, size_t size, struct grpc_result *result)
{
	_cleanup_buffer_ struct buffer status = { 0 };
	struct protobuf_field field, type, value;
	struct protobuf bytes;
	int r;

	r = base64_decode(text, size, &status);
	if (r)
		return r;
	bytes = protobuf_from(status.data, status.size);
	while (protobuf_next(&bytes, &field)) {
		if (field.number != STATUS_DETAILS || field.type != PROTOBUF_BYTES)
			continue;
		if (find_bytes(&field, ANY_TYPE_URL, &type) ||
			find_bytes(&field, ANY_VALUE, &value))
			return -EBADMSG;
		if (type.size == strlen(ERROR_INFO_URL) &&
			memcmp(type.data, ERROR_INFO_URL, type.size) == 0 && !result->metadata) {
			r = get_error_info(&value, result);
			if (r)
				return r;
		}
	}
	return bytes.is_malformed ? -EBADMSG : 0;
}

/* Microseconds in each unit; nanoseconds are the exception. */
static uint64_t unit_us(char unit)
{
	switch (unit) {
	case 'H':
		return UINT64_C(3600000000);
	case 'M':
		return 60000000;
	case 'S':
		return 1000000;
	case 'm':
		return 1000;
	case 'u':
		return 1;
	default:
		return 0;
	}
}

int grpc_timeout_parse(const char *text, size_t size, uint64_t *ret_us)
{
	uint64_t value = 0;
	size_t i;

	if (size < 2 || size > 9)
		return -EINVAL;
	for (i = 0; i < size - 1; i++) {
		if (text[i] < '0' || text[i] > '9')
			return -EINVAL;
		value = value * 10 + (uint64_t)(text[i] - '0');
	}
	if (text[i] == 'n') {
		*ret_us = (value + 999) / 1000;
		return 0;
	}
	if (!unit_us(text[i]))
		return -EINVAL;
	*ret_us = value * unit_us(text[i]);
	return 0;
}

size_t grpc_timeout_format(uint64_t us, char ret[16])
{
	static const char units[] = "umSMH";
	const char *unit = units;
	uint64_t value = us;

	/* At most eight digits; rounded up, so as not to be shorter than asked. */
	while (value > 99999999 && unit[1]) {
		unit++;
		value = us / unit_us(*unit) + (us % unit_us(*unit) ? 1 : 0);
	}
	if (value > 99999999)
		value = 99999999;
	return (size_t)snprintf(ret, 16, "%llu%c", (unsigned long long)value, *unit);
}
