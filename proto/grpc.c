#include "proto/grpc-internal.h"

#include "proto/message.h"

#define STREAM_WINDOW (1U << 20)
#define CONNECTION_WINDOW (4U << 20)
#define MAX_FIELDS_BYTES (16U << 10)
#define MAX_RESETS 500

#define DEFAULT(value, other) ((value) ? (value) : (other))

static struct grpc *create(const struct grpc_config *config, bool is_server)
{
	struct grpc *grpc = new0(struct grpc);
	struct http2_config http2 = {
		.is_server = is_server,
		.max_streams = DEFAULT(config->max_calls, 128),
		.stream_window = STREAM_WINDOW,
		.connection_window = CONNECTION_WINDOW,
		.max_fields_bytes = MAX_FIELDS_BYTES,
		.max_resets = MAX_RESETS,
	};

	grpc->is_server = is_server;
	grpc->config = *config;
	grpc->config.max_message = DEFAULT(config->max_message, 16U << 20);
	grpc->config.max_assembling = DEFAULT(config->max_assembling, 64U << 20);
	grpc->config.max_queued = DEFAULT(config->max_queued, 64U << 20);
	list_init(&grpc->borrowing);
	grpc->http2 = http2_new(
		&http2, is_server ? &grpc_server_handler : &grpc_client_handler, grpc);
	return grpc;
}

struct grpc *grpc_server_new(const struct grpc_config *config)
{
	return create(config, true);
}

struct grpc *grpc_client_new(const struct grpc_config *config, const char *authority)
{
	struct grpc *grpc = create(config, false);

	grpc->authority = text_copy(authority);
	return grpc;
}

struct grpc *grpc_free(struct grpc *grpc)
{
	if (!grpc)
		return NULL;
	http2_free(grpc->http2);
	buffer_deinit(&grpc->metadata);
	free(grpc->authority);
	free(grpc);
	return NULL;
}

int grpc_receive(struct grpc *grpc, const uint8_t *data, size_t size, struct error *err)
{
	int r;

	r = http2_receive(grpc->http2, data, size, err);
	grpc_input_keep(grpc);
	return r;
}

void grpc_tell_output(struct http2 *http2, void *data)
{
	struct grpc *grpc = data;

	if (grpc->config.on_output)
		grpc->config.on_output(grpc, grpc->config.data);
}

size_t grpc_pull(struct grpc *grpc, const uint8_t **ret)
{
	return http2_pull(grpc->http2, ret);
}

void grpc_taken(struct grpc *grpc, size_t size)
{
	http2_taken(grpc->http2, size);
}

bool grpc_wants_read(const struct grpc *grpc)
{
	return http2_wants_read(grpc->http2);
}

bool grpc_is_over(const struct grpc *grpc)
{
	return http2_is_over(grpc->http2);
}

size_t grpc_count_calls(const struct grpc *grpc)
{
	return http2_count_streams(grpc->http2);
}

size_t grpc_get_queued(const struct grpc *grpc)
{
	return http2_get_queued(grpc->http2);
}

void grpc_shutdown(struct grpc *grpc)
{
	http2_shutdown(grpc->http2);
}

void grpc_terminate(struct grpc *grpc)
{
	http2_terminate(grpc->http2, HTTP2_NO_ERROR);
}

/* --- calls --- */

void grpc_call_refuse(struct grpc_call *call, enum grpc_code code, const char *message)
{
	if (call->grpc->is_server)
		grpc_call_end(call, code, message, NULL);
	else
		grpc_client_give_up(call, code, message);
}

/* Where to put a message; NULL when it would not be sent. */
static struct buffer *begin_message(struct grpc_call *call)
{
	if (call->is_ended || (!call->grpc->is_server && call->is_half_closed))
		return NULL;
	if (call->grpc->is_server)
		grpc_server_respond(call);
	return http2_get_output(&call->stream);
}

void grpc_call_send(struct grpc_call *call, const void *data, size_t size)
{
	struct buffer *output = begin_message(call);

	if (!output)
		return;
	message_frame(data, size, output);
	http2_send(&call->stream);
}

void grpc_call_send_message(struct grpc_call *call, const struct ProtobufCMessage *message)
{
	struct buffer *output = begin_message(call);

	if (!output)
		return;
	message_pack_framed(message, output);
	http2_send(&call->stream);
}

size_t grpc_call_get_queued(const struct grpc_call *call)
{
	return http2_get_stream_queued(&call->stream);
}

void grpc_call_hold(struct grpc_call *call, bool is_held)
{
	http2_hold(&call->stream, is_held);
}

void grpc_call_cancel(struct grpc_call *call)
{
	if (!call->grpc->is_server) {
		grpc_client_give_up(call, GRPC_CANCELLED, "cancelled");
		return;
	}
	call->is_ended = true;
	http2_reset(&call->stream, HTTP2_CANCEL);
}
