/*
 * The client's side of a call.
 *
 * How a call ended is decided when its stream is closed, from what is there, in
 * this order: what we decided ourselves (cancelled, an answer too large), the
 * status the server sent, the HTTP status where the answer is no gRPC, the code of
 * the reset.
 */
#include "proto/grpc-internal.h"

#include <stdio.h>
#include <string.h>

static void on_field(struct http2_stream *stream, const struct http2_field *field)
{
	struct grpc_call *call = grpc_call_of(stream);

	if (call->is_cancelled)
		return;
	if (http2_field_is(field, "grpc-status")) {
		/* The last number that gRPC knows has two digits. */
		call->has_status = true;
		call->result.code = GRPC_UNKNOWN;
		if (field->value_size == 1 && field->value[0] >= '0' && field->value[0] <= '9')
			call->result.code = (enum grpc_code)(field->value[0] - '0');
		if (field->value_size == 2 && field->value[0] == '1' && field->value[1] >= '0' &&
			field->value[1] <= '6')
			call->result.code = (enum grpc_code)(field->value[1] - '0' + 10);
	} else if (http2_field_is(field, "grpc-message") && !call->result.message) {
		call->result.message = grpc_message_decode(field->value, field->value_size);
	} else if (http2_field_is(field, "grpc-status-details-bin") && !call->result.metadata) {
		grpc_details_decode(field->value, field->value_size, &call->result);
	} else if (http2_field_is(field, "content-type")) {
		call->has_content_type = field->value_size >= 16 &&
			memcmp(field->value, "application/grpc", 16) == 0;
	}
}

static void on_fields(struct http2_stream *stream, enum http2_block block)
{
	struct grpc_call *call = grpc_call_of(stream);

	if (block == HTTP2_RESPONSE)
		call->http_status = stream->incoming.status;
}

static bool is_grpc(const struct grpc_call *call)
{
	return call->http_status == 200 && call->has_content_type;
}

static void on_data(struct http2_stream *stream, const uint8_t *data, size_t size)
{
	struct grpc_call *call = grpc_call_of(stream);

	if (is_grpc(call))
		grpc_input_add(call, data, size);
}

static void on_end(struct http2_stream *stream)
{
	struct grpc_call *call = grpc_call_of(stream);

	if (!call->is_ended)
		grpc_input_end(call);
	call->is_ended = true;
}

static void on_drained(struct http2_stream *stream)
{
	struct grpc_call *call = grpc_call_of(stream);

	if (!call->is_ended && call->callbacks->on_drained)
		call->callbacks->on_drained(call);
}

static enum grpc_code code_of_http(int status)
{
	switch (status) {
	case 400:
		return GRPC_INTERNAL;
	case 401:
		return GRPC_UNAUTHENTICATED;
	case 403:
		return GRPC_PERMISSION_DENIED;
	case 404:
		return GRPC_UNIMPLEMENTED;
	case 429:
	case 502:
	case 503:
	case 504:
		return GRPC_UNAVAILABLE;
	default:
		return GRPC_UNKNOWN;
	}
}

static enum grpc_code code_of_reset(enum http2_code code)
{
	switch (code) {
	case HTTP2_REFUSED_STREAM:
	case HTTP2_CONNECT_ERROR: /* the connection is gone */
		return GRPC_UNAVAILABLE;
	case HTTP2_CANCEL:
		return GRPC_CANCELLED;
	case HTTP2_ENHANCE_YOUR_CALM:
		return GRPC_RESOURCE_EXHAUSTED;
	case HTTP2_INADEQUATE_SECURITY:
		return GRPC_PERMISSION_DENIED;
	default:
		return GRPC_INTERNAL;
	}
}

static void set_result(struct grpc_call *call, enum grpc_code code, const char *message)
{
	grpc_result_deinit(&call->result);
	call->result.code = code;
	call->result.message = text_copy(message);
}

void grpc_client_give_up(struct grpc_call *call, enum grpc_code code, const char *message)
{
	if (call->is_ended)
		return;
	call->is_ended = call->is_cancelled = true;
	set_result(call, code, message);
	http2_reset(&call->stream, HTTP2_CANCEL);
}

static void decide_result(struct grpc_call *call, bool is_complete, enum http2_code code)
{
	char text[96];

	if (call->is_cancelled)
		return;
	if (!is_complete) {
		snprintf(text, sizeof(text), "the connection or the call was cut off (HTTP/2 %d)",
			(int)code);
		set_result(call, code_of_reset(code), text);
		if (code == HTTP2_CONNECT_ERROR)
			set_result(call, GRPC_UNAVAILABLE, "the connection is gone");
	} else if (call->has_status) {
		return;
	} else if (call->http_status != 200) {
		snprintf(text, sizeof(text), "the answer is no gRPC (HTTP status %d)",
			call->http_status);
		set_result(call, code_of_http(call->http_status), text);
	} else {
		set_result(call, GRPC_UNKNOWN, "the answer has no grpc-status");
	}
}

static void on_closed(struct http2_stream *stream, bool is_complete, enum http2_code code)
{
	struct grpc_call *call = grpc_call_of(stream);

	call->is_ended = true;
	decide_result(call, is_complete, code);
	if (call->callbacks->on_end)
		call->callbacks->on_end(call, &call->result);
	grpc_result_deinit(&call->result);
	grpc_input_deinit(call);
	free(call);
}

const struct http2_handler grpc_client_handler = {
	.on_field = on_field,
	.on_fields = on_fields,
	.on_data = on_data,
	.on_end = on_end,
	.on_drained = on_drained,
	.on_closed = on_closed,
	.on_output = grpc_tell_output,
};

struct grpc_call *grpc_call_begin(struct grpc *grpc, const char *path, uint64_t timeout_us,
	const struct grpc_call_callbacks *callbacks, void *data)
{
	struct http2_field fields[] = {
		HTTP2_FIELD(":method", "POST"),
		HTTP2_FIELD(":scheme", "http"),
		{ .name = ":path", .name_size = 5, .value = path, .value_size = strlen(path) },
		{ .name = ":authority",
			.name_size = 10,
			.value = grpc->authority,
			.value_size = strlen(grpc->authority) },
		HTTP2_FIELD("te", "trailers"),
		HTTP2_FIELD("content-type", "application/grpc"),
		{ .name = "grpc-timeout", .name_size = 12 },
	};
	_cleanup_free_ struct grpc_call *call = new0(struct grpc_call);
	size_t count = ARRAY_SIZE(fields);
	char timeout[16];

	if (!http2_may_begin(grpc->http2) || strlen(path) >= sizeof(call->path))
		return NULL;
	memcpy(call->path, path, strlen(path));
	call->grpc = grpc;
	call->callbacks = callbacks;
	call->data = data;
	call->timeout_us = timeout_us;
	call->is_begun = call->has_headers = true;
	fields[count - 1].value = timeout;
	fields[count - 1].value_size = grpc_timeout_format(timeout_us, timeout);
	if (timeout_us == GRPC_NO_TIMEOUT)
		count--;
	if (http2_begin(grpc->http2, &call->stream, fields, count))
		return NULL;
	return STEAL(call);
}

void grpc_call_half_close(struct grpc_call *call)
{
	if (call->is_ended || call->is_half_closed)
		return;
	call->is_half_closed = true;
	http2_end(&call->stream, NULL, 0);
}
