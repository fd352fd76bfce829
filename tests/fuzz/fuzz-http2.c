/*
 * What a peer may send to a gRPC connection. The first byte says which end we are,
 * how the input is cut, and how much of our output the kernel takes at a time.
 */
#include <stdint.h>
#include <stdio.h>
#include "proto/grpc.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
	IS_CLIENT = 1,
	IS_CUT = 2,
	IS_SLOW = 4,
};

/* Calls begun and ended: they must agree when all is over. */
struct tally {
	int begun, ended;
};

static void on_last(struct grpc_call *call)
{
	((struct tally *)call->data)->ended++;
}

static void on_message(struct grpc_call *call, const uint8_t *data, size_t size)
{
	grpc_call_send(call, data, size);
	if (size % 2)
		grpc_call_end(call, GRPC_ABORTED, "odd", "SOURCE_CHANGED");
	else if (size == 2)
		grpc_call_cancel(call);
	else if (call->is_unary)
		grpc_call_end(call, GRPC_OK, NULL, NULL);
}

static void on_half_close(struct grpc_call *call)
{
	grpc_call_end(call, GRPC_OK, NULL, NULL);
}

static const struct grpc_call_callbacks serving = { .on_message = on_message,
	.on_half_close = on_half_close,
	.on_delivered = on_last,
	.on_cancelled = on_last };

static void on_call(struct grpc_call *call, void *data)
{
	struct tally *tally = data;

	tally->begun++;
	call->data = tally;
	call->callbacks = &serving;
	call->is_unary = strlen(call->path) % 2;
	grpc_get_metadata(call, "user-agent");
}

static void on_end(struct grpc_call *call, const struct grpc_result *result)
{
	on_last(call);
}

static const struct grpc_call_callbacks calling = { .on_message = NULL, .on_end = on_end };

static void begin_calls(struct grpc *grpc, struct tally *tally)
{
	struct grpc_call *call;
	int i;

	for (i = 0; i < 3; i++) {
		call = grpc_call_begin(grpc, "/t.T/Echo", GRPC_NO_TIMEOUT, &calling, tally);
		if (!call)
			abort();
		tally->begun++;
		grpc_call_send(call, "hello", 5);
		if (i)
			grpc_call_half_close(call);
	}
}

static void write_out(struct grpc *grpc, size_t limit)
{
	const uint8_t *bytes;
	size_t n, i;

	for (i = 0; i < 64 && (n = grpc_pull(grpc, &bytes)); i++)
		grpc_taken(grpc, n < limit ? n : limit);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct tally tally = { 0 };
	struct grpc_config config = { .max_message = 1 << 16, .on_call = on_call, .data = &tally };
	struct grpc *grpc;
	size_t piece, limit;

	if (!size)
		return 0;
	piece = data[0] & IS_CUT ? 1U + data[0] / 8 : size;
	limit = data[0] & IS_SLOW ? 7 : SIZE_MAX;
	if (data[0] & IS_CLIENT) {
		config.on_call = NULL;
		grpc = grpc_client_new(&config, "localhost");
		begin_calls(grpc, &tally);
	} else {
		grpc = grpc_server_new(&config);
	}
	write_out(grpc, limit);
	for (data++, size--; size && grpc_wants_read(grpc);) {
		size_t n = piece < size ? piece : size;

		grpc_receive(grpc, data, n, NULL);
		write_out(grpc, limit);
		data += n;
		size -= n;
	}
	grpc_free(grpc);
	if (tally.begun != tally.ended)
		abort();
	return 0;
}
