#pragma once
/*
 * One HTTP/2 connection, either end: bytes in, bytes out. No descriptor, no
 * loop, no clock. The only door to nghttp2. One thread.
 *
 * The owner brings bytes with http2_receive(), takes what http2_pull() shows to
 * the socket, and says with http2_taken() how much of it the kernel accepted.
 * What the peer does comes out as the handler's functions, which are called from
 * inside http2_receive(), http2_pull(), http2_taken() and http2_free(), and may
 * use every function of this file but these four and http2_new().
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/buffer.h"
#include "base/error.h"
#include "base/list.h"
#include "base/util.h"
#include "proto/http2-fields.h"

struct http2;

/* RFC 9113, section 7. */
enum http2_code {
	HTTP2_NO_ERROR = 0,
	HTTP2_PROTOCOL_ERROR = 1,
	HTTP2_INTERNAL_ERROR = 2,
	HTTP2_FLOW_CONTROL_ERROR = 3,
	HTTP2_SETTINGS_TIMEOUT = 4,
	HTTP2_STREAM_CLOSED = 5,
	HTTP2_FRAME_SIZE_ERROR = 6,
	HTTP2_REFUSED_STREAM = 7,
	HTTP2_CANCEL = 8,
	HTTP2_COMPRESSION_ERROR = 9,
	HTTP2_CONNECT_ERROR = 10,
	HTTP2_ENHANCE_YOUR_CALM = 11,
	HTTP2_INADEQUATE_SECURITY = 12,
	HTTP2_HTTP_1_1_REQUIRED = 13,
};

#define HTTP2_MAX_TRAILERS 4

/* Lives in the owner's object; zeroed before use, private to http2.c. */
struct http2_stream {
	struct list link; /* http2.streams; http2.ending when the end is written */
	struct http2 *http2; /* borrowed; NULL: not in use (any more) */
	int32_t id;
	struct http2_message incoming;
	struct buffer output; /* what is to be sent as DATA */
	size_t output_sent; /* from the front of output */
	size_t output_queued; /* what http2_send() has announced and is not sent */
	struct http2_field trailers[HTTP2_MAX_TRAILERS];
	size_t trailer_count;
	char *trailer_texts; /* owned */
	size_t unreturned; /* bytes of window that the peer has not got back */
	uint64_t end_at; /* offset of the byte behind END_STREAM, once known */
	bool is_held, is_responded, is_deferred, is_reset;
	bool has_end, end_sent, end_received, is_closed;
};

struct http2_handler {
	/* Server: a request begins. The stream to use for it (zeroed), or NULL to
	 * refuse it. */
	struct http2_stream *(*on_begin)(struct http2 *http2, void *data);
	/* One field of the request, the response or the trailers. */
	void (*on_field)(struct http2_stream *stream, const struct http2_field *field);
	/* The fields are complete and well-formed. */
	void (*on_fields)(struct http2_stream *stream, enum http2_block block);
	/* Valid until http2_receive() returns. */
	void (*on_data)(struct http2_stream *stream, const uint8_t *data, size_t size);
	/* The peer has sent all. */
	void (*on_end)(struct http2_stream *stream);
	/* What is queued on the stream fell below 64 KiB, from above. */
	void (*on_drained)(struct http2_stream *stream);
	/* The last one for each stream, exactly once; the owner may free it.
	 * @is_delivered: all was sent and the kernel took it. (A client is
	 * content earlier: when the answer is complete.) */
	void (*on_closed)(struct http2_stream *stream, bool is_delivered, enum http2_code code);
	/* There is something to pull although nobody called http2_receive() or
	 * http2_taken(). Not the place to do it: arrange for it. */
	void (*on_output)(struct http2 *http2, void *data);
};

struct http2_config {
	bool is_server;
	uint32_t max_streams; /* that the peer may have open */
	uint32_t stream_window, connection_window; /* bytes to us */
	uint32_t max_fields_bytes; /* of one block, names + values + 32 each */
	uint32_t max_resets; /* more of the peer's than answers, by this: the end */
};

struct http2 *http2_new(
	const struct http2_config *config, const struct http2_handler *handler, void *data);
/* on_closed() for every stream first. Not from inside a handler. */
struct http2 *http2_free(struct http2 *http2);

/* A failure ends the connection: pull and write once more (it tells the peer
 * why), then close. */
int http2_receive(struct http2 *http2, const uint8_t *data, size_t size, struct error *err);
/* Bytes to write, valid until the next call of anything here; 0: none. */
size_t http2_pull(struct http2 *http2, const uint8_t **ret);
void http2_taken(struct http2 *http2, size_t size);

/* False while the peer does not read what we wrote: so as not to write for
 * ever, do not read from it either. */
bool http2_wants_read(const struct http2 *http2);
/* Everything was said: close the socket. */
bool http2_is_over(const struct http2 *http2);
/* Bytes that wait for the peer, all streams together. */
size_t http2_get_queued(const struct http2 *http2);
/* Streams that are not closed. */
size_t http2_count_streams(const struct http2 *http2);
/* Whether a client can begin streams. */
bool http2_may_begin(const struct http2 *http2);

/* No new streams; those that are there go on. */
void http2_shutdown(struct http2 *http2);
/* Ends all with GOAWAY. */
void http2_terminate(struct http2 *http2, enum http2_code code);

/* Client: @fields is a whole request. */
int http2_begin(struct http2 *http2, struct http2_stream *stream, const struct http2_field *fields,
	size_t count);
/* Server: @fields is a response. With @is_end, all of it. */
void http2_respond(
	struct http2_stream *stream, const struct http2_field *fields, size_t count, bool is_end);
/* What is appended here is sent after http2_send(). */
struct buffer *http2_get_output(struct http2_stream *stream);
void http2_send(struct http2_stream *stream);
/* No more after this; @trailers may be none. A server whose client is still
 * sending tells it to stop. */
void http2_end(struct http2_stream *stream, const struct http2_field *trailers, size_t count);
void http2_reset(struct http2_stream *stream, enum http2_code code);
/* Bytes queued on this stream. */
size_t http2_get_stream_queued(const struct http2_stream *stream);
/* While held, the peer gets no new window on this stream: at most one window's
 * worth comes. */
void http2_hold(struct http2_stream *stream, bool is_held);

DEFINE_CLEANUP(struct http2 *, http2_free);
