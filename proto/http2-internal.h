#pragma once
/*
 * What the two halves of http2 share: http2.c (the connection, and what we say) and
 * http2-events.c (what nghttp2 tells us). The only door to nghttp2; nobody else
 * includes this.
 */
#include <nghttp2/nghttp2.h>
#include "proto/http2.h"

#define HTTP2_OUTPUT_LIMIT (256U << 10) /* one frame may go beyond */
#define HTTP2_KEPT_BUFFER (64U << 10) /* larger ones are given back when empty */
#define HTTP2_MAX_FIELDS 16

/* The PING by which we learn that the peer has seen our GOAWAY. */
#define HTTP2_SHUTDOWN_PING ((const uint8_t *)"shutdown")

struct http2 {
	struct http2_config config;
	const struct http2_handler *handler;
	void *data;
	nghttp2_session *session;
	struct list streams, ending; /* ending: in the order of end_at */
	size_t stream_count;
	struct buffer out; /* for the kernel */
	size_t out_taken; /* from the front of out */
	uint64_t total; /* bytes ever put into out */
	size_t queued; /* bytes in outputs of streams */
	size_t block_bytes; /* of the block of fields that is coming */
	uint32_t resets; /* that are not made up for by answers */
	char words[160]; /* what nghttp2 says about an error */
	bool is_inside, is_awake, is_dead;
};

static inline size_t http2_pending(const struct http2 *http2)
{
	return http2->out.size - http2->out_taken;
}

/* The last thing that happens to a stream. */
void http2_finish(struct http2_stream *stream, bool is_delivered, uint32_t code);
size_t http2_translate(const struct http2_field *fields, size_t count, nghttp2_nv *ret);

void http2_events_set(nghttp2_session_callbacks *callbacks);
/* The source of a stream's DATA. */
ssize_t http2_events_read(nghttp2_session *session, int32_t id, uint8_t *buffer, size_t size,
	uint32_t *flags, nghttp2_data_source *source, void *data);
