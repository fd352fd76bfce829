#pragma once
/*
 * Protobuf messages from and to bytes, by protobuf-c, with the checks it leaves
 * out: strings are UTF-8 without NUL, nesting has a limit, nothing is truncated.
 * Any thread.
 */
#include <protobuf-c/protobuf-c.h>
#include <stddef.h>
#include <stdint.h>
#include "base/buffer.h"
#include "base/error.h"
#include "base/util.h"

#define MESSAGE_MAX_DEPTH 100

/* Bytes from anywhere. *ret is to be freed with message_free(). -EINVAL with the
 * reason REQUEST_INVALID and the name of the field ("archives.path: not UTF-8");
 * -ENOMEM. */
int message_unpack(const ProtobufCMessageDescriptor *descriptor, const uint8_t *data, size_t size,
	ProtobufCMessage **ret, struct error *err);
/* Frees any unpacked message; @message may be NULL. Returns NULL. */
void *message_free(void *message);

/* Appends. */
void message_pack(const ProtobufCMessage *message, struct buffer *buffer);

/* With the prefix that gRPC puts in front: of bytes, and of a message. */
void message_frame(const void *data, size_t size, struct buffer *buffer);
void message_pack_framed(const ProtobufCMessage *message, struct buffer *buffer);

/* For _cleanup_ on a pointer to any generated message. */
void message_cleanup(void *pointer);
#define _cleanup_message_ _cleanup_(message_cleanup)
