/* What nghttp2 tells us. See http2.c. */
#include "proto/http2-internal.h"

#include <stdio.h>
#include <string.h>

#define DRAINED (64U << 10)
#define FIELD_OVERHEAD 32 /* RFC 9113, 6.5.2 */

static void reset(struct http2_stream *stream, uint32_t code)
{
	stream->is_reset = true;
	nghttp2_submit_rst_stream(stream->http2->session, NGHTTP2_FLAG_NONE, stream->id, code);
}

static struct http2_stream *find(nghttp2_session *session, int32_t id)
{
	return nghttp2_session_get_stream_user_data(session, id);
}

/* --- from the peer --- */

static void count_reset(struct http2 *http2)
{
	if (http2->config.is_server && ++http2->resets > http2->config.max_resets)
		nghttp2_session_terminate_session(http2->session, NGHTTP2_ENHANCE_YOUR_CALM);
}

static void on_peer_reset(struct http2 *http2, const nghttp2_frame *frame)
{
	struct http2_stream *stream = find(http2->session, frame->hd.stream_id);

	count_reset(http2);
	if (stream) {
		/* nghttp2 closes it next. */
		stream->is_reset = true;
		return;
	}
	list_for_each_safe (link, &http2->ending) {
		stream = container_of(link, struct http2_stream, link);
		if (stream->id == frame->hd.stream_id) {
			http2_finish(stream, false, frame->rst_stream.error_code);
			return;
		}
	}
}

static int on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *data)
{
	struct http2 *http2 = data;
	struct http2_stream *stream = find(session, frame->hd.stream_id);

	http2->block_bytes = 0;
	if (!stream && frame->headers.cat == NGHTTP2_HCAT_REQUEST) {
		stream = http2->handler->on_begin(http2, http2->data);
		if (!stream) {
			nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, frame->hd.stream_id,
				NGHTTP2_REFUSED_STREAM);
			return 0;
		}
		stream->http2 = http2;
		stream->id = frame->hd.stream_id;
		list_add(&http2->streams, &stream->link);
		http2->stream_count++;
		nghttp2_session_set_stream_user_data(session, stream->id, stream);
	}
	if (stream)
		http2_message_begin(&stream->incoming, http2->config.is_server);
	return 0;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
	size_t name_size, const uint8_t *value, size_t value_size, uint8_t flags, void *data)
{
	struct http2 *http2 = data;
	struct http2_stream *stream = find(session, frame->hd.stream_id);
	struct http2_field field = {
		.name = (const char *)name,
		.value = (const char *)value,
		.name_size = name_size,
		.value_size = value_size,
	};

	if (!stream || stream->is_reset)
		return 0;
	http2->block_bytes += name_size + value_size + FIELD_OVERHEAD;
	if (http2->block_bytes > http2->config.max_fields_bytes)
		reset(stream, NGHTTP2_ENHANCE_YOUR_CALM);
	else if (!http2_message_add(&stream->incoming, &field))
		reset(stream, NGHTTP2_PROTOCOL_ERROR);
	else
		http2->handler->on_field(stream, &field);
	return 0;
}

static void on_peer_end(struct http2 *http2, struct http2_stream *stream)
{
	if (!http2_message_end(&stream->incoming)) {
		reset(stream, NGHTTP2_PROTOCOL_ERROR);
		return;
	}
	stream->end_received = true;
	http2->handler->on_end(stream);
	/* Nobody is interested in the rest of our request. */
	if (!http2->config.is_server && !stream->end_sent && !stream->is_reset)
		reset(stream, NGHTTP2_CANCEL);
}

static void on_fields(struct http2 *http2, struct http2_stream *stream, bool is_end)
{
	if (!http2_message_complete(&stream->incoming, is_end))
		reset(stream, NGHTTP2_PROTOCOL_ERROR);
	else if (!http2_message_is_interim(&stream->incoming))
		http2->handler->on_fields(stream, stream->incoming.block);
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *data)
{
	struct http2 *http2 = data;
	struct http2_stream *stream;
	bool is_end = frame->hd.flags & NGHTTP2_FLAG_END_STREAM;

	switch (frame->hd.type) {
	case NGHTTP2_RST_STREAM:
		on_peer_reset(http2, frame);
		break;
	case NGHTTP2_PING:
		if ((frame->hd.flags & NGHTTP2_FLAG_ACK) &&
			memcmp(frame->ping.opaque_data, HTTP2_SHUTDOWN_PING, 8) == 0)
			nghttp2_submit_goaway(session, NGHTTP2_FLAG_NONE,
				nghttp2_session_get_last_proc_stream_id(session), NGHTTP2_NO_ERROR,
				NULL, 0);
		break;
	case NGHTTP2_HEADERS:
	case NGHTTP2_DATA:
		stream = find(session, frame->hd.stream_id);
		if (stream && !stream->is_reset && frame->hd.type == NGHTTP2_HEADERS)
			on_fields(http2, stream, is_end);
		if (stream && !stream->is_reset && is_end)
			on_peer_end(http2, stream);
		break;
	}
	return 0;
}

static int on_data_chunk(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *bytes,
	size_t size, void *data)
{
	struct http2 *http2 = data;
	struct http2_stream *stream = find(session, id);

	/* The connection's window is for all streams: one that is held must not
	 * stop the others. */
	nghttp2_session_consume_connection(session, size);
	if (!stream || stream->is_reset)
		return 0;
	if (stream->is_held)
		stream->unreturned += size;
	else
		nghttp2_session_consume_stream(session, id, size);
	if (!http2_message_data(&stream->incoming, size))
		reset(stream, NGHTTP2_PROTOCOL_ERROR);
	else
		http2->handler->on_data(stream, bytes, size);
	return 0;
}

static int on_stream_close(nghttp2_session *session, int32_t id, uint32_t code, void *data)
{
	struct http2 *http2 = data;
	struct http2_stream *stream = find(session, id);

	if (!stream)
		return 0;
	/* nghttp2 remembers closed streams. */
	nghttp2_session_set_stream_user_data(session, id, NULL);
	if (http2->config.is_server && stream->end_sent && !stream->is_reset)
		stream->is_closed = true;
	else
		http2_finish(stream, !http2->config.is_server && stream->end_received, code);
	return 0;
}

static int on_error(nghttp2_session *session, int code, const char *text, size_t size, void *data)
{
	struct http2 *http2 = data;

	snprintf(http2->words, sizeof(http2->words), "%.*s", (int)size, text);
	return 0;
}

/* --- to the peer --- */

ssize_t http2_events_read(nghttp2_session *session, int32_t id, uint8_t *buffer, size_t size,
	uint32_t *flags, nghttp2_data_source *source, void *data)
{
	struct http2_stream *stream = source->ptr;
	nghttp2_nv nv[HTTP2_MAX_FIELDS];
	size_t count;

	if (!stream->output_queued && !stream->has_end) {
		stream->is_deferred = true;
		return NGHTTP2_ERR_DEFERRED;
	}
	*flags |= NGHTTP2_DATA_FLAG_NO_COPY;
	if (size < stream->output_queued)
		return (ssize_t)size;
	if (stream->has_end) {
		*flags |= NGHTTP2_DATA_FLAG_EOF;
		if (stream->trailer_count) {
			*flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
			count = http2_translate(stream->trailers, stream->trailer_count, nv);
			nghttp2_submit_trailer(session, id, nv, count);
		}
	}
	return (ssize_t)stream->output_queued;
}

static int on_send_data(nghttp2_session *session, nghttp2_frame *frame, const uint8_t *header,
	size_t size, nghttp2_data_source *source, void *data)
{
	struct http2 *http2 = data;
	struct http2_stream *stream = source->ptr;
	size_t before = stream->output_queued;

	buffer_append(&http2->out, header, 9);
	if (size)
		buffer_append(&http2->out, stream->output.data + stream->output_sent, size);
	http2->total += 9 + size;
	http2->queued -= size;
	stream->output_queued -= size;
	stream->output_sent += size;
	if (!stream->output_queued) {
		stream->output_sent = stream->output.size = 0;
		if (stream->output.allocated > HTTP2_KEPT_BUFFER)
			buffer_deinit(&stream->output);
	}
	if (before >= DRAINED && stream->output_queued < DRAINED && http2->handler->on_drained)
		http2->handler->on_drained(stream);
	return http2_pending(http2) >= HTTP2_OUTPUT_LIMIT ? NGHTTP2_ERR_PAUSE : 0;
}

static int on_frame_sent(nghttp2_session *session, const nghttp2_frame *frame, void *data)
{
	struct http2 *http2 = data;
	struct http2_stream *stream;

	if ((frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA) ||
		!(frame->hd.flags & NGHTTP2_FLAG_END_STREAM))
		return 0;
	stream = find(session, frame->hd.stream_id);
	if (!stream)
		return 0;
	stream->end_sent = true;
	if (!http2->config.is_server)
		return 0;
	/* Its bytes are not in out yet: fill() sets end_at. */
	list_remove(&stream->link);
	list_add(&http2->ending, &stream->link);
	if (!stream->end_received)
		nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, stream->id, NGHTTP2_NO_ERROR);
	return 0;
}

void http2_events_set(nghttp2_session_callbacks *callbacks)
{
	nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, on_begin_headers);
	nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
	nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data_chunk);
	nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_stream_close);
	nghttp2_session_callbacks_set_on_frame_send_callback(callbacks, on_frame_sent);
	nghttp2_session_callbacks_set_send_data_callback(callbacks, on_send_data);
	nghttp2_session_callbacks_set_error_callback2(callbacks, on_error);
}
