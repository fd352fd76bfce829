/*
 * Messages from bytes. A message that lies in one piece of input is handed on
 * where it lies. A unary one has to wait for the end of the request, which mostly
 * comes with the same input: it is borrowed until then, and copied only when the
 * input ends before the request does.
 */
#include "proto/grpc-internal.h"

#include <stdio.h>

static size_t get_size(const uint8_t prefix[GRPC_PREFIX_SIZE])
{
	return (size_t)prefix[1] << 24 | (size_t)prefix[2] << 16 | (size_t)prefix[3] << 8 |
		prefix[4];
}

static bool check_prefix(struct grpc_call *call)
{
	const struct grpc_config *config = &call->grpc->config;
	size_t size = get_size(call->prefix);
	char text[96];

	if (call->prefix[0]) {
		grpc_call_refuse(call, call->prefix[0] == 1 ? GRPC_UNIMPLEMENTED : GRPC_INTERNAL,
			call->prefix[0] == 1 ? "compressed messages are not supported"
					     : "a message has unknown flags");
		return false;
	}
	if (size > config->max_message) {
		snprintf(text, sizeof(text), "a message of %zu bytes is larger than %zu", size,
			config->max_message);
		grpc_call_refuse(call, GRPC_RESOURCE_EXHAUSTED, text);
		return false;
	}
	if (call->is_unary && call->has_message) {
		grpc_call_refuse(call, GRPC_INTERNAL, "more than one request message");
		return false;
	}
	return true;
}

static bool begin_part(struct grpc_call *call, size_t size)
{
	if (call->grpc->assembling + size <= call->grpc->config.max_assembling)
		call->part = malloc(size ? size : 1);
	if (!call->part) {
		grpc_call_refuse(call, GRPC_RESOURCE_EXHAUSTED,
			"too many large messages at a time on this connection");
		return false;
	}
	call->part_size = size;
	call->part_filled = 0;
	call->grpc->assembling += size;
	return true;
}

static void free_part(struct grpc_call *call)
{
	call->grpc->assembling -= call->part_size;
	call->part_size = call->part_filled = 0;
	free(STEAL(call->part));
}

static void complete(struct grpc_call *call, const uint8_t *data, size_t size)
{
	call->prefix_filled = 0;
	call->has_message = true;
	if (call->is_unary) {
		call->message = data;
		call->message_size = size;
		if (data != call->part)
			list_add(&call->grpc->borrowing, &call->borrowing);
		return;
	}
	if (call->callbacks && call->callbacks->on_message)
		call->callbacks->on_message(call, data, size);
	free_part(call);
}

void grpc_input_add(struct grpc_call *call, const uint8_t *data, size_t size)
{
	size_t n, wanted;

	while (size && !call->is_ended) {
		if (call->prefix_filled < GRPC_PREFIX_SIZE) {
			call->prefix[call->prefix_filled++] = *data++;
			size--;
			if (call->prefix_filled < GRPC_PREFIX_SIZE)
				continue;
			if (!check_prefix(call))
				return;
		}
		wanted = get_size(call->prefix);
		if (!call->part && size >= wanted) {
			complete(call, data, wanted);
			data += wanted;
			size -= wanted;
			continue;
		}
		if (!call->part && !begin_part(call, wanted))
			return;
		n = wanted - call->part_filled < size ? wanted - call->part_filled : size;
		memcpy(call->part + call->part_filled, data, n);
		call->part_filled += n;
		data += n;
		size -= n;
		if (call->part_filled == wanted)
			complete(call, call->part, wanted);
	}
}

bool grpc_input_end(struct grpc_call *call)
{
	if (call->prefix_filled == 0)
		return true;
	grpc_call_refuse(call, GRPC_INTERNAL, "ended in the middle of a message");
	return false;
}

void grpc_input_deliver(struct grpc_call *call)
{
	if (!call->has_message) {
		grpc_call_refuse(call, GRPC_INTERNAL, "no request message");
		return;
	}
	list_remove(&call->borrowing);
	if (call->callbacks->on_message)
		call->callbacks->on_message(call, call->message, call->message_size);
	call->message = NULL;
	free_part(call);
}

void grpc_input_keep(struct grpc *grpc)
{
	struct list *link;

	while ((link = list_pop(&grpc->borrowing))) {
		struct grpc_call *call = container_of(link, struct grpc_call, borrowing);

		if (!begin_part(call, call->message_size))
			continue;
		memcpy(call->part, call->message, call->message_size);
		call->message = call->part;
	}
}

void grpc_input_deinit(struct grpc_call *call)
{
	list_remove(&call->borrowing);
	free_part(call);
}
