#pragma once
/*
 * What the parts of grpc share: grpc.c (connections, sending), grpc-input.c
 * (messages from bytes), grpc-server.c and grpc-client.c (what to make of what
 * HTTP/2 says). Nobody else includes this.
 */
#include "proto/grpc.h"

struct grpc {
	struct http2 *http2; /* owned */
	bool is_server;
	struct grpc_config config;
	char *authority; /* client */
	struct list borrowing;
	size_t assembling; /* bytes of all calls' parts */
	struct buffer metadata; /* server: of the call that begins: name NUL value NUL … */
};

static inline struct grpc_call *grpc_call_of(struct http2_stream *stream)
{
	return container_of(stream, struct grpc_call, stream);
}

extern const struct http2_handler grpc_server_handler, grpc_client_handler;

/* http2_handler.on_output of both. */
void grpc_tell_output(struct http2 *http2, void *data);
/* Ends a call that is not worth going on with, whichever end we are. */
void grpc_call_refuse(struct grpc_call *call, enum grpc_code code, const char *message);
/* Sends the headers of the answer, once. */
void grpc_server_respond(struct grpc_call *call);
/* Resets the call; @code and @message are its result. */
void grpc_client_give_up(struct grpc_call *call, enum grpc_code code, const char *message);

/* DATA came. */
void grpc_input_add(struct grpc_call *call, const uint8_t *data, size_t size);
/* The last of it has come. False: in the middle of a message, and the call was refused. */
bool grpc_input_end(struct grpc_call *call);
/* A unary request has come wholly: its message goes to the user. */
void grpc_input_deliver(struct grpc_call *call);
/* The input is about to go away. */
void grpc_input_keep(struct grpc *grpc);
void grpc_input_deinit(struct grpc_call *call);
