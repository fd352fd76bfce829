#pragma once
/*
 * How a gRPC call ended, and the texts that say so on the wire: grpc-message,
 * grpc-status-details-bin, grpc-timeout. Any thread.
 */
#include <stddef.h>
#include <stdint.h>
#include "base/buffer.h"

enum grpc_code {
	GRPC_OK = 0,
	GRPC_CANCELLED = 1,
	GRPC_UNKNOWN = 2,
	GRPC_INVALID_ARGUMENT = 3,
	GRPC_DEADLINE_EXCEEDED = 4,
	GRPC_NOT_FOUND = 5,
	GRPC_ALREADY_EXISTS = 6,
	GRPC_PERMISSION_DENIED = 7,
	GRPC_RESOURCE_EXHAUSTED = 8,
	GRPC_FAILED_PRECONDITION = 9,
	GRPC_ABORTED = 10,
	GRPC_OUT_OF_RANGE = 11,
	GRPC_UNIMPLEMENTED = 12,
	GRPC_INTERNAL = 13,
	GRPC_UNAVAILABLE = 14,
	GRPC_DATA_LOSS = 15,
	GRPC_UNAUTHENTICATED = 16,
};

/* "NOT_FOUND"; "UNKNOWN" for a number that is none. */
const char *grpc_code_name(enum grpc_code code);

struct grpc_result {
	enum grpc_code code;
	const char *message; /* for people; may be NULL */
	const char *reason; /* a name of enum Reason; may be NULL */
	/* More of ErrorInfo: name, value, name, value, …, NULL; may be NULL. */
	const char *const *metadata;
};

/* Texts of a result that came from the peer. */
void grpc_result_deinit(struct grpc_result *result);

/* grpc-message: percent-encoding. Decoding keeps what is malformed as it is and
 * makes the rest UTF-8. */
void grpc_message_encode(const char *message, struct buffer *ret);
char *grpc_message_decode(const char *text, size_t size);

/* grpc-status-details-bin: base64 of a google.rpc.Status with one ErrorInfo. */
void grpc_details_encode(const struct grpc_result *result, struct buffer *ret);
/* Fills reason and metadata (owned); leaves them NULL when there are none.
 * -EBADMSG: not such a thing. */
int grpc_details_decode(const char *text, size_t size, struct grpc_result *result);

/* grpc-timeout: one to eight digits and a unit, such as "100m". -EINVAL. */
int grpc_timeout_parse(const char *text, size_t size, uint64_t *ret_us);
size_t grpc_timeout_format(uint64_t us, char ret[16]);
