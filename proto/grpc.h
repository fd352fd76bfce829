#pragma once
/*
 * gRPC over one HTTP/2 connection, either end, without a socket. One thread.
 *
 * A connection is driven like this, by a server and a client alike:
 *
 *	bytes came:	grpc_receive(), then as below
 *	may write:	while ((n = grpc_pull(grpc, &bytes)))
 *				grpc_taken(grpc, what write() took of it);
 *	then:		read only while grpc_wants_read(); close when grpc_is_over()
 *
 * Callbacks come from inside grpc_receive(), grpc_pull(), grpc_taken() and
 * grpc_free(), never from inside another function of this file; they may use every
 * function here but those four. A call may be answered inside any of them.
 *
 * A call ends with exactly one last callback (on_delivered or on_cancelled at the
 * server, on_end at the client). When that returns, the call is gone.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/error.h"
#include "base/util.h"
#include "proto/grpc-status.h"
#include "proto/http2.h"

struct ProtobufCMessage;

struct grpc;
struct grpc_call;

#define GRPC_NO_TIMEOUT UINT64_MAX
#define GRPC_PREFIX_SIZE 5 /* in front of each message on the wire */

/* All may be NULL. */
struct grpc_call_callbacks {
	/* A whole message; the bytes are valid until it returns. */
	void (*on_message)(struct grpc_call *call, const uint8_t *data, size_t size);
	/* Server: the client has sent its last message. */
	void (*on_half_close)(struct grpc_call *call);
	/* What is queued for this call fell below 64 KiB, from above. */
	void (*on_drained)(struct grpc_call *call);

	/* Server, last: the kernel took everything, the status included. */
	void (*on_delivered)(struct grpc_call *call);
	/* Server, last: the client does not get (all of) the answer. It reset the
	 * call, or the connection is gone. */
	void (*on_cancelled)(struct grpc_call *call);

	/* Client, last. */
	void (*on_end)(struct grpc_call *call, const struct grpc_result *result);
};

struct grpc_call {
	struct http2_stream stream; /* private, as is all below "private" */
	struct grpc *grpc; /* borrowed */

	/* The user's. A server sets them in on_call(). */
	const struct grpc_call_callbacks *callbacks;
	void *data;
	/* Server, set in on_call(): the client may send exactly one message.
	 * on_message() then comes when it has sent all, and on_half_close()
	 * directly after it; anything else is answered INTERNAL. */
	bool is_unary;

	/* To be read. */
	char path[192]; /* "/package.Service/Method" */
	uint64_t timeout_us; /* what the client granted, or GRPC_NO_TIMEOUT */
	bool is_ended; /* grpc_call_end() was called, or no longer makes sense */

	/* private */
	struct list borrowing; /* grpc.borrowing: message points into the input */
	const uint8_t *message; /* unary, complete; in the input or the part */
	size_t message_size;
	uint8_t *part; /* owned; a message of which only a part has come at a time */
	size_t part_size, part_filled;
	uint8_t prefix[GRPC_PREFIX_SIZE], prefix_filled;
	bool is_begun, has_headers, has_message, is_half_closed;
	bool has_content_type, has_encoding, is_post, has_timeout_error; /* server */
	bool has_status, is_cancelled; /* client */
	int http_status; /* client */
	struct grpc_result result; /* client: the texts are owned */
};

struct grpc_config {
	/* 0: the default, in brackets. */
	size_t max_message; /* of one message [16 MiB] */
	size_t max_assembling; /* of all messages that have not come wholly [64 MiB] */
	size_t max_queued; /* that waits for the peer; then new calls are refused [64 MiB] */
	uint32_t max_calls; /* at a time [128] */
	/* Server: a call has begun. Sets call->callbacks, or ends the call, else
	 * it is UNIMPLEMENTED. grpc_get_metadata() works inside it. */
	void (*on_call)(struct grpc_call *call, void *data);
	/* There is something to pull although nobody called grpc_receive() or
	 * grpc_taken(). Not the place to pull: arrange for it (event_active()). */
	void (*on_output)(struct grpc *grpc, void *data);
	void *data;
};

struct grpc *grpc_server_new(const struct grpc_config *config);
/* @authority is what is sent as :authority, such as "localhost". */
struct grpc *grpc_client_new(const struct grpc_config *config, const char *authority);
/* Gives each open call its last callback first. Not from inside a callback. */
struct grpc *grpc_free(struct grpc *grpc);

/* A failure ends the connection: write what grpc_pull() still has, then close. */
int grpc_receive(struct grpc *grpc, const uint8_t *data, size_t size, struct error *err);
/* Bytes to write, valid until the next call of anything here; 0: none. */
size_t grpc_pull(struct grpc *grpc, const uint8_t **ret);
/* So many of them were taken by the kernel. */
void grpc_taken(struct grpc *grpc, size_t size);

bool grpc_wants_read(const struct grpc *grpc);
bool grpc_is_over(const struct grpc *grpc);
/* Calls that have not had their last callback. */
size_t grpc_count_calls(const struct grpc *grpc);
/* Bytes that wait for the peer, all calls together. */
size_t grpc_get_queued(const struct grpc *grpc);
/* No new calls; open ones go on, then grpc_is_over(). */
void grpc_shutdown(struct grpc *grpc);
/* The same, and grpc_is_over() as soon as the peer was told: what it asked for
 * meanwhile, it may ask of somebody else. */
void grpc_terminate(struct grpc *grpc);

/* --- calls, either end --- */

/* One message. After the end of a call this does nothing: so does the rest here. */
void grpc_call_send(struct grpc_call *call, const void *data, size_t size);
/* The same, packed where it is sent from. */
void grpc_call_send_message(struct grpc_call *call, const struct ProtobufCMessage *message);
/* Bytes of this call that wait for the peer. */
size_t grpc_call_get_queued(const struct grpc_call *call);
/* While held, the peer soon (after 1 MiB) has to stop sending. */
void grpc_call_hold(struct grpc_call *call, bool is_held);
/* At once, with RST_STREAM. The last callback comes later, from grpc_pull(). */
void grpc_call_cancel(struct grpc_call *call);

/* --- calls, server --- */

/* @message (words) and @reason (a name of enum Reason) may be NULL. */
void grpc_call_end(
	struct grpc_call *call, enum grpc_code code, const char *message, const char *reason);
void grpc_call_end_with(struct grpc_call *call, const struct grpc_result *result);
/* The value of a header of the request, NULL when there is none. Inside
 * on_call() only. */
const char *grpc_get_metadata(const struct grpc_call *call, const char *name);

/* --- calls, client --- */

/* NULL when the connection takes no more calls. @path is at most 191 bytes. */
struct grpc_call *grpc_call_begin(struct grpc *grpc, const char *path, uint64_t timeout_us,
	const struct grpc_call_callbacks *callbacks, void *data);
/* No more messages from here. */
void grpc_call_half_close(struct grpc_call *call);

DEFINE_CLEANUP(struct grpc *, grpc_free);
