/*
 * The server's side of a call.
 *
 * Whoever is no gRPC client is answered as the gRPC specification of HTTP/2 says:
 * 405 for another method than POST, 415 for another content type, once the request
 * has come wholly (it may yet turn out malformed). All other refusals are gRPC
 * statuses, and come at once. Only a call that passes all checks is begun, which
 * means that its user hears of it.
 */
#include "proto/grpc-internal.h"

#include <string.h>

static const struct http2_field response_fields[] = {
	HTTP2_FIELD(":status", "200"),
	HTTP2_FIELD("content-type", "application/grpc"),
};

static struct http2_stream *on_begin(struct http2 *http2, void *data)
{
	struct grpc *grpc = data;
	struct grpc_call *call = new0(struct grpc_call);

	call->grpc = grpc;
	call->timeout_us = GRPC_NO_TIMEOUT;
	grpc->metadata.size = 0;
	return &call->stream;
}

static void keep_metadata(struct grpc *grpc, const struct http2_field *field)
{
	buffer_append(&grpc->metadata, field->name, field->name_size);
	buffer_append(&grpc->metadata, "", 1);
	buffer_append(&grpc->metadata, field->value, field->value_size);
	buffer_append(&grpc->metadata, "", 1);
}

const char *grpc_get_metadata(const struct grpc_call *call, const char *name)
{
	const struct buffer *all = &call->grpc->metadata;
	size_t at = 0;

	while (at < all->size) {
		const char *here = (const char *)all->data + at;
		const char *value = here + strlen(here) + 1;

		if (strcmp(here, name) == 0)
			return value;
		at = (size_t)(value + strlen(value) + 1 - (const char *)all->data);
	}
	return NULL;
}

static bool is_grpc(const struct http2_field *type)
{
	static const char wanted[] = "application/grpc";
	size_t n = sizeof(wanted) - 1;

	if (type->value_size < n || memcmp(type->value, wanted, n) != 0)
		return false;
	return type->value_size == n || type->value[n] == '+' || type->value[n] == ';';
}

static bool is_for_us(const struct grpc_call *call)
{
	return call->is_post && call->has_content_type;
}

static void take_path(struct grpc_call *call, const struct http2_field *field)
{
	/* One that is too long stays empty, and is unknown therefore. */
	if (field->value_size < sizeof(call->path))
		memcpy(call->path, field->value, field->value_size);
}

static void on_field(struct http2_stream *stream, const struct http2_field *field)
{
	struct grpc_call *call = grpc_call_of(stream);

	if (stream->incoming.block != HTTP2_REQUEST)
		return;
	if (field->name[0] == ':') {
		if (http2_field_is(field, ":path"))
			take_path(call, field);
		else if (http2_field_is(field, ":method"))
			call->is_post = http2_field_has(field, "POST");
		else if (http2_field_is(field, ":authority"))
			keep_metadata(call->grpc, field);
	} else if (http2_field_is(field, "content-type")) {
		call->has_content_type = is_grpc(field);
	} else if (http2_field_is(field, "grpc-timeout")) {
		if (grpc_timeout_parse(field->value, field->value_size, &call->timeout_us))
			call->has_timeout_error = true;
	} else if (http2_field_is(field, "grpc-encoding")) {
		call->has_encoding = !http2_field_has(field, "identity");
	} else if (!http2_field_is(field, "te")) {
		keep_metadata(call->grpc, field);
	}
}

/* For who is no gRPC client. */
static void answer_http(struct grpc_call *call)
{
	static const char words[] = "This is a gRPC server.\n";
	static const struct http2_field not_post[] = {
		HTTP2_FIELD(":status", "405"),
		HTTP2_FIELD("allow", "POST"),
		HTTP2_FIELD("content-type", "text/plain"),
	};
	static const struct http2_field not_grpc[] = {
		HTTP2_FIELD(":status", "415"),
		HTTP2_FIELD("accept", "application/grpc"),
		HTTP2_FIELD("content-type", "text/plain"),
	};

	call->is_ended = true;
	http2_respond(&call->stream, call->is_post ? not_grpc : not_post, 3, false);
	buffer_append_text(http2_get_output(&call->stream), words);
	http2_send(&call->stream);
	http2_end(&call->stream, NULL, 0);
}

/* False: refused. */
static bool check_call(struct grpc_call *call)
{
	struct grpc *grpc = call->grpc;

	if (call->has_timeout_error)
		grpc_call_refuse(call, GRPC_INTERNAL, "grpc-timeout is malformed");
	else if (call->has_encoding)
		grpc_call_refuse(call, GRPC_UNIMPLEMENTED, "compressed messages are not supported");
	else if (http2_get_queued(grpc->http2) > grpc->config.max_queued)
		grpc_call_refuse(call, GRPC_RESOURCE_EXHAUSTED,
			"too many answers wait for this connection to be read");
	return !call->is_ended;
}

static void on_fields(struct http2_stream *stream, enum http2_block block)
{
	struct grpc_call *call = grpc_call_of(stream);

	if (block != HTTP2_REQUEST || !is_for_us(call) || !check_call(call))
		return;
	call->is_begun = true;
	call->grpc->config.on_call(call, call->grpc->config.data);
	if (!call->callbacks)
		grpc_call_end(call, GRPC_UNIMPLEMENTED, "unknown method", NULL);
}

static void on_data(struct http2_stream *stream, const uint8_t *data, size_t size)
{
	struct grpc_call *call = grpc_call_of(stream);

	if (call->is_begun)
		grpc_input_add(call, data, size);
}

static void on_end(struct http2_stream *stream)
{
	struct grpc_call *call = grpc_call_of(stream);

	if (!call->is_begun && !call->is_ended)
		answer_http(call);
	if (call->is_ended || !grpc_input_end(call))
		return;
	call->is_half_closed = true;
	if (call->is_unary)
		grpc_input_deliver(call);
	if (!call->is_ended && call->callbacks->on_half_close)
		call->callbacks->on_half_close(call);
}

static void on_drained(struct http2_stream *stream)
{
	struct grpc_call *call = grpc_call_of(stream);

	if (!call->is_ended && call->callbacks && call->callbacks->on_drained)
		call->callbacks->on_drained(call);
}

static void on_closed(struct http2_stream *stream, bool is_delivered, enum http2_code code)
{
	struct grpc_call *call = grpc_call_of(stream);
	const struct grpc_call_callbacks *callbacks = call->callbacks;

	call->is_ended = true;
	if (callbacks && is_delivered && callbacks->on_delivered)
		callbacks->on_delivered(call);
	if (callbacks && !is_delivered && callbacks->on_cancelled)
		callbacks->on_cancelled(call);
	grpc_input_deinit(call);
	free(call);
}

const struct http2_handler grpc_server_handler = {
	.on_begin = on_begin,
	.on_field = on_field,
	.on_fields = on_fields,
	.on_data = on_data,
	.on_end = on_end,
	.on_drained = on_drained,
	.on_closed = on_closed,
	.on_output = grpc_tell_output,
};

/* --- answers --- */

void grpc_server_respond(struct grpc_call *call)
{
	if (call->has_headers)
		return;
	call->has_headers = true;
	http2_respond(&call->stream, response_fields, ARRAY_SIZE(response_fields), false);
}

static void end_well(struct grpc_call *call)
{
	static const struct http2_field trailers[] = { HTTP2_FIELD("grpc-status", "0") };

	grpc_server_respond(call);
	http2_end(&call->stream, trailers, ARRAY_SIZE(trailers));
}

static struct http2_field field_of(const char *name, const struct buffer *value)
{
	return (struct http2_field){
		.name = name,
		.name_size = strlen(name),
		.value = (const char *)value->data,
		.value_size = value->size,
	};
}

void grpc_call_end_with(struct grpc_call *call, const struct grpc_result *result)
{
	_cleanup_buffer_ struct buffer code = { 0 }, message = { 0 }, details = { 0 };
	struct http2_field fields[ARRAY_SIZE(response_fields) + 3];
	size_t n = ARRAY_SIZE(response_fields);

	if (call->is_ended)
		return;
	call->is_ended = true;
	if (result->code == GRPC_OK) {
		end_well(call);
		return;
	}
	memcpy(fields, response_fields, sizeof(response_fields));
	buffer_format(&code, "%d", (int)result->code);
	fields[n++] = field_of("grpc-status", &code);
	if (!text_is_empty(result->message)) {
		grpc_message_encode(result->message, &message);
		fields[n++] = field_of("grpc-message", &message);
	}
	if (!text_is_empty(result->reason)) {
		grpc_details_encode(result, &details);
		fields[n++] = field_of("grpc-status-details-bin", &details);
	}
	if (call->has_headers)
		http2_end(&call->stream, fields + ARRAY_SIZE(response_fields),
			n - ARRAY_SIZE(response_fields));
	else
		http2_respond(&call->stream, fields, n, true);
}

void grpc_call_end(
	struct grpc_call *call, enum grpc_code code, const char *message, const char *reason)
{
	struct grpc_result result = { .code = code, .message = message, .reason = reason };

	grpc_call_end_with(call, &result);
}
