/*
 * Bytes go through two buffers of ours. Each stream has its own output, from
 * which nghttp2 takes as much as the peer's windows allow; what it takes is
 * written, framed, to http2->out, which holds what the kernel is to be given.
 * Once out is full (OUTPUT_LIMIT), nghttp2 is not asked any more, and the owner is
 * told not to read: every byte that a peer can make us say, it has to fetch first.
 *
 * nghttp2 must not be entered twice. Its callbacks, and so our handlers, run inside
 * nghttp2_session_mem_recv() and _mem_send(); submitting from there is allowed and
 * all that handlers can do. is_inside says that somebody will pull anyway.
 *
 * A stream moves from `streams` to `ending` when its END_STREAM was written to out,
 * and is closed when the kernel took that byte (server only). Until then, a reset
 * by the peer makes it undelivered; afterwards we no longer know the stream.
 *
 * nghttp2's own checks of header fields are off, because they refuse authorities
 * that gRPC clients send; http2-fields.c does them.
 */
#include "proto/http2-internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static void wake(struct http2 *http2)
{
	if (http2->is_inside || http2->is_awake || !http2->handler->on_output)
		return;
	http2->is_awake = true;
	http2->handler->on_output(http2, http2->data);
}

void http2_finish(struct http2_stream *stream, bool is_delivered, uint32_t code)
{
	struct http2 *http2 = stream->http2;

	list_remove(&stream->link);
	http2->queued -= stream->output_queued;
	http2->stream_count--;
	buffer_deinit(&stream->output);
	free(stream->trailer_texts);
	stream->trailer_texts = NULL;
	stream->http2 = NULL;
	http2->handler->on_closed(stream, is_delivered, (enum http2_code)code);
}

size_t http2_translate(const struct http2_field *fields, size_t count, nghttp2_nv *ret)
{
	size_t i;

	if (count > HTTP2_MAX_FIELDS)
		abort();
	for (i = 0; i < count; i++)
		ret[i] = (nghttp2_nv){
			.name = (uint8_t *)fields[i].name,
			.value = (uint8_t *)fields[i].value,
			.namelen = fields[i].name_size,
			.valuelen = fields[i].value_size,
			.flags = fields[i].is_static
				? NGHTTP2_NV_FLAG_NO_COPY_NAME | NGHTTP2_NV_FLAG_NO_COPY_VALUE
				: NGHTTP2_NV_FLAG_NONE,
		};
	return count;
}

static void place_ends(struct http2 *http2)
{
	struct list *link;

	for (link = http2->ending.prev; link != &http2->ending; link = link->prev) {
		struct http2_stream *stream = container_of(link, struct http2_stream, link);

		if (stream->end_at)
			break;
		stream->end_at = http2->total;
	}
}

static void fill(struct http2 *http2)
{
	const uint8_t *bytes;
	ssize_t n;

	while (!http2->is_dead && http2_pending(http2) < HTTP2_OUTPUT_LIMIT) {
		n = nghttp2_session_mem_send(http2->session, &bytes);
		if (n > 0) {
			buffer_append(&http2->out, bytes, (size_t)n);
			http2->total += (uint64_t)n;
		}
		place_ends(http2);
		if (n < 0)
			http2->is_dead = true;
		if (n <= 0)
			break;
	}
}

size_t http2_pull(struct http2 *http2, const uint8_t **ret)
{
	if (http2->out_taken > HTTP2_KEPT_BUFFER) {
		buffer_consume(&http2->out, http2->out_taken);
		http2->out_taken = 0;
	}
	http2->is_inside = true;
	fill(http2);
	http2->is_inside = http2->is_awake = false;
	*ret = http2->out.data ? http2->out.data + http2->out_taken : NULL;
	return http2_pending(http2);
}

void http2_taken(struct http2 *http2, size_t size)
{
	uint64_t at;

	http2->out_taken += size;
	at = http2->total - http2_pending(http2);
	if (!http2_pending(http2)) {
		http2->out_taken = http2->out.size = 0;
		if (http2->out.allocated > HTTP2_KEPT_BUFFER)
			buffer_deinit(&http2->out);
	}
	http2->is_inside = true;
	while (!list_is_empty(&http2->ending)) {
		struct http2_stream *stream = container_of(
			http2->ending.next, struct http2_stream, link);

		if (stream->end_at > at)
			break;
		if (!stream->is_closed)
			nghttp2_session_set_stream_user_data(http2->session, stream->id, NULL);
		http2->resets -= http2->resets ? 1 : 0;
		http2_finish(stream, true, NGHTTP2_NO_ERROR);
	}
	http2->is_inside = false;
}

int http2_receive(struct http2 *http2, const uint8_t *data, size_t size, struct error *err)
{
	ssize_t n;

	if (http2->is_dead || !nghttp2_session_want_read(http2->session))
		return 0;
	http2->words[0] = 0;
	http2->is_inside = true;
	n = nghttp2_session_mem_recv(http2->session, data, size);
	http2->is_inside = false;
	if (n < 0)
		nghttp2_session_terminate_session(http2->session,
			n == NGHTTP2_ERR_FLOODED ? NGHTTP2_ENHANCE_YOUR_CALM
						 : NGHTTP2_PROTOCOL_ERROR);
	if (n == NGHTTP2_ERR_NOMEM)
		return fail(err, -ENOMEM, NULL, "HTTP/2: no memory");
	if (n < 0)
		return fail(err, -EPROTO, NULL, "HTTP/2: %s", nghttp2_strerror((int)n));
	if (http2->words[0] && !nghttp2_session_want_read(http2->session))
		return fail(err, -EPROTO, NULL, "HTTP/2: %s", http2->words);
	return 0;
}

/* --- the connection --- */

static void submit_settings(struct http2 *http2)
{
	const struct http2_config *config = &http2->config;
	nghttp2_settings_entry server[] = {
		{ NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, config->max_streams },
		{ NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, config->stream_window },
		{ NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, config->max_fields_bytes },
	};
	nghttp2_settings_entry client[] = {
		{ NGHTTP2_SETTINGS_ENABLE_PUSH, 0 },
		{ NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, config->stream_window },
		{ NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, config->max_fields_bytes },
	};

	if (config->is_server)
		nghttp2_submit_settings(
			http2->session, NGHTTP2_FLAG_NONE, server, ARRAY_SIZE(server));
	else
		nghttp2_submit_settings(
			http2->session, NGHTTP2_FLAG_NONE, client, ARRAY_SIZE(client));
	nghttp2_session_set_local_window_size(
		http2->session, NGHTTP2_FLAG_NONE, 0, (int32_t)config->connection_window);
}

struct http2 *http2_new(
	const struct http2_config *config, const struct http2_handler *handler, void *data)
{
	struct http2 *http2 = new0(struct http2);
	nghttp2_session_callbacks *callbacks;
	nghttp2_option *option;
	int r;

	http2->config = *config;
	http2->handler = handler;
	http2->data = data;
	list_init(&http2->streams);
	list_init(&http2->ending);
	if (nghttp2_session_callbacks_new(&callbacks) || nghttp2_option_new(&option))
		abort();
	http2_events_set(callbacks);
	nghttp2_option_set_no_auto_window_update(option, 1);
	nghttp2_option_set_no_http_messaging(option, 1);
	r = config->is_server
		? nghttp2_session_server_new2(&http2->session, callbacks, http2, option)
		: nghttp2_session_client_new2(&http2->session, callbacks, http2, option);
	if (r)
		abort();
	nghttp2_session_callbacks_del(callbacks);
	nghttp2_option_del(option);
	submit_settings(http2);
	return http2;
}

struct http2 *http2_free(struct http2 *http2)
{
	struct list *link;

	if (!http2)
		return NULL;
	http2->is_inside = true;
	list_take_all(&http2->ending, &http2->streams);
	while ((link = list_pop(&http2->ending))) {
		struct http2_stream *stream = container_of(link, struct http2_stream, link);

		nghttp2_session_set_stream_user_data(http2->session, stream->id, NULL);
		http2_finish(stream, false, NGHTTP2_CONNECT_ERROR);
	}
	nghttp2_session_del(http2->session);
	buffer_deinit(&http2->out);
	free(http2);
	return NULL;
}

bool http2_wants_read(const struct http2 *http2)
{
	return !http2->is_dead && http2_pending(http2) < HTTP2_OUTPUT_LIMIT &&
		nghttp2_session_want_read(http2->session);
}

bool http2_is_over(const struct http2 *http2)
{
	if (http2_pending(http2))
		return false;
	return http2->is_dead ||
		(!nghttp2_session_want_read(http2->session) &&
			!nghttp2_session_want_write(http2->session));
}

size_t http2_get_queued(const struct http2 *http2)
{
	return http2_pending(http2) + http2->queued;
}

size_t http2_count_streams(const struct http2 *http2)
{
	return http2->stream_count;
}

bool http2_may_begin(const struct http2 *http2)
{
	return !http2->is_dead && nghttp2_session_check_request_allowed(http2->session);
}

void http2_shutdown(struct http2 *http2)
{
	nghttp2_session *session = http2->session;

	if (http2->config.is_server) {
		nghttp2_submit_shutdown_notice(session);
		nghttp2_submit_ping(session, NGHTTP2_FLAG_NONE, HTTP2_SHUTDOWN_PING);
	} else {
		nghttp2_submit_goaway(session, NGHTTP2_FLAG_NONE, 0, NGHTTP2_NO_ERROR, NULL, 0);
	}
	wake(http2);
}

void http2_terminate(struct http2 *http2, enum http2_code code)
{
	nghttp2_session_terminate_session(http2->session, (uint32_t)code);
	wake(http2);
}

/* --- streams --- */

int http2_begin(struct http2 *http2, struct http2_stream *stream, const struct http2_field *fields,
	size_t count)
{
	nghttp2_data_provider provider = { .source.ptr = stream,
		.read_callback = http2_events_read };
	nghttp2_nv nv[HTTP2_MAX_FIELDS];
	int32_t id;

	http2_translate(fields, count, nv);
	id = nghttp2_submit_request(http2->session, NULL, nv, count, &provider, stream);
	if (id < 0)
		return -ECONNRESET;
	stream->http2 = http2;
	stream->id = id;
	stream->is_responded = true;
	list_add(&http2->streams, &stream->link);
	http2->stream_count++;
	wake(http2);
	return 0;
}

void http2_respond(
	struct http2_stream *stream, const struct http2_field *fields, size_t count, bool is_end)
{
	nghttp2_data_provider provider = { .source.ptr = stream,
		.read_callback = http2_events_read };
	nghttp2_nv nv[HTTP2_MAX_FIELDS];

	if (!stream->http2 || stream->is_responded)
		return;
	stream->is_responded = true;
	stream->has_end = is_end;
	http2_translate(fields, count, nv);
	nghttp2_submit_response(
		stream->http2->session, stream->id, nv, count, is_end ? NULL : &provider);
	wake(stream->http2);
}

struct buffer *http2_get_output(struct http2_stream *stream)
{
	/* Not while little was sent: that would be copied again and again. */
	if (stream->output_sent > HTTP2_KEPT_BUFFER &&
		stream->output_sent > stream->output.size / 2) {
		buffer_consume(&stream->output, stream->output_sent);
		stream->output_sent = 0;
	}
	return &stream->output;
}

static void resume(struct http2_stream *stream)
{
	if (stream->is_deferred) {
		stream->is_deferred = false;
		nghttp2_session_resume_data(stream->http2->session, stream->id);
	}
	wake(stream->http2);
}

void http2_send(struct http2_stream *stream)
{
	size_t queued = stream->output.size - stream->output_sent;

	if (!stream->http2)
		return;
	stream->http2->queued += queued - stream->output_queued;
	stream->output_queued = queued;
	resume(stream);
}

/* The texts of those that do not stay, in one piece. */
static void copy_trailers(
	struct http2_stream *stream, const struct http2_field *trailers, size_t count)
{
	size_t i, size = 0;
	char *at;

	if (count > HTTP2_MAX_TRAILERS)
		abort();
	for (i = 0; i < count; i++)
		size += trailers[i].is_static ? 0 : trailers[i].name_size + trailers[i].value_size;
	if (size)
		stream->trailer_texts = alloc0(size, 1);
	at = stream->trailer_texts;
	for (i = 0; i < count; i++) {
		struct http2_field *to = &stream->trailers[i];

		*to = trailers[i];
		if (to->is_static)
			continue;
		to->name = memcpy(at, trailers[i].name, to->name_size);
		at += to->name_size;
		to->value = memcpy(at, trailers[i].value, to->value_size);
		at += to->value_size;
	}
	stream->trailer_count = count;
}

void http2_end(struct http2_stream *stream, const struct http2_field *trailers, size_t count)
{
	if (!stream->http2 || stream->has_end)
		return;
	copy_trailers(stream, trailers, count);
	stream->has_end = true;
	resume(stream);
}

void http2_reset(struct http2_stream *stream, enum http2_code code)
{
	if (!stream->http2 || stream->is_reset)
		return;
	/* It is too late for one whose end is on its way. */
	if (stream->http2->config.is_server && stream->end_sent)
		return;
	stream->is_reset = true;
	nghttp2_submit_rst_stream(
		stream->http2->session, NGHTTP2_FLAG_NONE, stream->id, (uint32_t)code);
	wake(stream->http2);
}

size_t http2_get_stream_queued(const struct http2_stream *stream)
{
	return stream->output_queued;
}

void http2_hold(struct http2_stream *stream, bool is_held)
{
	stream->is_held = is_held;
	if (is_held || !stream->http2 || !stream->unreturned)
		return;
	nghttp2_session_consume_stream(stream->http2->session, stream->id, stream->unreturned);
	stream->unreturned = 0;
	wake(stream->http2);
}
