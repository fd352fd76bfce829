#pragma once
/*
 * Header fields of HTTP/2, and whether those of a message are well-formed: RFC
 * 9113, sections 8.1 to 8.3. One departure, on purpose: an authority may hold any
 * visible character, or be missing, because gRPC clients on Unix sockets send the
 * socket's path. Any thread.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Neither text need end in a NUL. */
struct http2_field {
	const char *name, *value;
	size_t name_size, value_size;
	bool is_static; /* both texts stay for ever */
};

/* A field of two literals. */
#define HTTP2_FIELD(n, v)                                                                          \
	{                                                                                          \
		.name = (n), .value = (v), .name_size = sizeof(n) - 1,                             \
		.value_size = sizeof(v) - 1, .is_static = true                                     \
	}

/* Inline, so that the lengths of literals are constants. */
static inline bool http2_field_is(const struct http2_field *field, const char *name)
{
	return strlen(name) == field->name_size && memcmp(field->name, name, field->name_size) == 0;
}

static inline bool http2_field_has(const struct http2_field *field, const char *value)
{
	return strlen(value) == field->value_size &&
		memcmp(field->value, value, field->value_size) == 0;
}

/* Which fields a block of headers must and must not have. */
enum http2_block {
	HTTP2_REQUEST,
	HTTP2_RESPONSE,
	HTTP2_TRAILERS,
};

/* What has come of one message so far: a request, or a response. */
struct http2_message {
	enum http2_block block; /* the one that is coming, or came last */
	unsigned pseudo; /* mask of this block's pseudo headers */
	bool has_regular; /* of this block: pseudo headers may no longer come */
	bool has_fields; /* the final request or response headers are complete */
	bool is_connect, is_options, is_asterisk; /* of the request line */
	bool has_length;
	int status; /* of a response */
	uint64_t length, received; /* content-length, and what came */
};

/* A block begins. */
void http2_message_begin(struct http2_message *message, bool is_request);
/* False: malformed, as with all below. */
bool http2_message_add(struct http2_message *message, const struct http2_field *field);
/* The block is complete. */
bool http2_message_complete(struct http2_message *message, bool is_end);
/* An interim response (1xx) came, and another block follows it. */
bool http2_message_is_interim(const struct http2_message *message);
bool http2_message_data(struct http2_message *message, size_t size);
bool http2_message_end(const struct http2_message *message);
