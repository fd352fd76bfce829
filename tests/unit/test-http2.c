/* Frames written by hand, against a server that answers every request. */
#include <criterion/criterion.h>
#include <errno.h>
#include "proto/http2.h"

enum {
	DATA = 0,
	HEADERS = 1,
	RST_STREAM = 3,
	SETTINGS = 4,
	PING = 6,
	GOAWAY = 7,
	WINDOW_UPDATE = 8,
	CONTINUATION = 9,
	END_STREAM = 1,
	ACK = 1,
	END_HEADERS = 4,
};

struct server {
	struct http2 *http2;
	unsigned begun, complete, ended, closed, delivered;
	size_t received;
	struct http2_stream *last;
	bool is_silent; /* answers nothing */
	struct buffer in, out;
};

static struct http2_stream *on_begin(struct http2 *http2, void *data)
{
	struct server *self = data;

	self->begun++;
	self->last = new0(struct http2_stream);
	return self->last;
}

/* One server at a time: each test is a process of its own. */
static struct server server;

static void on_field(struct http2_stream *stream, const struct http2_field *field)
{
	cr_assert_not_null(field->name);
}

static void on_fields(struct http2_stream *stream, enum http2_block block)
{
	server.complete += block == HTTP2_REQUEST;
}

static void on_data(struct http2_stream *stream, const uint8_t *data, size_t size)
{
	server.received += size;
}

static void on_end(struct http2_stream *stream)
{
	static const struct http2_field fields[] = { HTTP2_FIELD(":status", "200") };
	static const struct http2_field trailers[] = { HTTP2_FIELD("x-end", "yes") };

	server.ended++;
	if (server.is_silent)
		return;
	http2_respond(stream, fields, 1, false);
	buffer_append_text(http2_get_output(stream), "answer");
	http2_send(stream);
	http2_end(stream, trailers, 1);
}

static void on_closed(struct http2_stream *stream, bool is_delivered, enum http2_code code)
{
	server.closed++;
	server.delivered += is_delivered;
	free(stream);
}

static const struct http2_handler handler = { .on_begin = on_begin,
	.on_field = on_field,
	.on_fields = on_fields,
	.on_data = on_data,
	.on_end = on_end,
	.on_closed = on_closed };

static void start(void)
{
	static const struct http2_config config = { .is_server = true,
		.max_streams = 100,
		.stream_window = 1 << 20,
		.connection_window = 4 << 20,
		.max_fields_bytes = 16384,
		.max_resets = 50 };

	server = (struct server){ .http2 = http2_new(&config, &handler, &server) };
	buffer_append_text(&server.in, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
}

static void stop(void)
{
	http2_free(server.http2);
	cr_expect_eq(server.begun, server.closed, "each stream is closed, once");
	buffer_deinit(&server.in);
	buffer_deinit(&server.out);
}

static void put_frame(int type, int flags, uint32_t id, const void *data, size_t size)
{
	uint8_t head[9] = { (uint8_t)(size >> 16), (uint8_t)(size >> 8), (uint8_t)size,
		(uint8_t)type, (uint8_t)flags, (uint8_t)(id >> 24), (uint8_t)(id >> 16),
		(uint8_t)(id >> 8), (uint8_t)id };

	buffer_append(&server.in, head, 9);
	buffer_append(&server.in, data, size);
}

/* A literal field, without Huffman and tables. */
static void put_field(struct buffer *block, const char *name, const char *value)
{
	uint8_t n = (uint8_t)strlen(name), v = (uint8_t)strlen(value);

	buffer_append(block, "\0", 1);
	buffer_append(block, &n, 1);
	buffer_append_text(block, name);
	buffer_append(block, &v, 1);
	buffer_append_text(block, value);
}

static void put_request(uint32_t id, int flags, const char *name, const char *value)
{
	_cleanup_buffer_ struct buffer block = { 0 };

	put_field(&block, ":method", "POST");
	put_field(&block, ":scheme", "http");
	put_field(&block, ":path", "/a");
	if (name)
		put_field(&block, name, value);
	put_frame(HEADERS, flags | END_HEADERS, id, block.data, block.size);
}

static int flush(struct error *err)
{
	const uint8_t *bytes;
	size_t n;
	int r = 0;

	if (server.in.size) {
		r = http2_receive(server.http2, server.in.data, server.in.size, err);
		buffer_deinit(&server.in);
	}
	while ((n = http2_pull(server.http2, &bytes))) {
		buffer_append(&server.out, bytes, n);
		http2_taken(server.http2, n);
	}
	return r;
}

/* The last frame of @type that was written for stream @id; NULL. */
static const uint8_t *find_frame(int type, uint32_t id)
{
	const uint8_t *at = server.out.data, *end = at + server.out.size, *found = NULL;
	size_t size;

	for (; end - at >= 9; at += 9 + size) {
		size = (size_t)at[0] << 16 | (size_t)at[1] << 8 | at[2];
		if (at[3] == type && at[8] == (id & 0xff) && at[7] == (id >> 8))
			found = at;
	}
	return found;
}

static int reset_code(uint32_t id)
{
	const uint8_t *frame = find_frame(RST_STREAM, id);

	return frame ? frame[12] : -1;
}

static int goaway_code(void)
{
	const uint8_t *frame = find_frame(GOAWAY, 0);

	return frame ? frame[16] : -1;
}

Test(http2, a_request_is_answered_with_trailers, .init = start, .fini = stop)
{
	put_frame(SETTINGS, 0, 0, "", 0);
	put_request(1, END_STREAM, NULL, NULL);
	cr_expect_eq(flush(NULL), 0);
	cr_expect_eq(server.ended, 1);
	cr_expect_eq(server.delivered, 1);
	cr_expect_eq(find_frame(HEADERS, 1)[4], END_STREAM | END_HEADERS);
	cr_expect_eq(find_frame(DATA, 1)[4], 0);
	cr_expect_not(http2_is_over(server.http2));
	cr_expect_eq(http2_count_streams(server.http2), 0);
}

Test(http2, any_authority_is_good_enough, .init = start, .fini = stop)
{
	static const char *const cases[] = { "localhost", "/run/pyenvd/pyenvd.sock",
		"%2Frun%2Fx.sock", "", "a:b:c", "@abstract", "[::1]:80", "\xc3\xa4" };
	uint32_t i;

	put_frame(SETTINGS, 0, 0, "", 0);
	for (i = 0; i < ARRAY_SIZE(cases); i++)
		put_request(2 * i + 1, END_STREAM, ":authority", cases[i]);
	put_request(2 * i + 1, END_STREAM, "host", "/run/x.sock");
	put_request(2 * i + 3, END_STREAM, NULL, NULL);
	cr_expect_eq(flush(NULL), 0);
	cr_expect_eq(server.delivered, ARRAY_SIZE(cases) + 2);
}

Test(http2, a_malformed_request_is_reset_and_the_rest_goes_on, .init = start, .fini = stop)
{
	static const char *const cases[][2] = { { ":authority", "a b" }, { "X-Upper", "a" },
		{ "connection", "close" }, { "te", "gzip" }, { ":path", "/b" },
		{ ":status", "200" }, { "content-length", "4" } };
	uint32_t i;

	put_frame(SETTINGS, 0, 0, "", 0);
	for (i = 0; i < ARRAY_SIZE(cases); i++)
		put_request(2 * i + 1, END_STREAM, cases[i][0], cases[i][1]);
	put_request(99, END_STREAM, NULL, NULL);
	cr_expect_eq(flush(NULL), 0);
	for (i = 0; i < ARRAY_SIZE(cases); i++)
		cr_expect_eq(reset_code(2 * i + 1), HTTP2_PROTOCOL_ERROR, "%s", cases[i][0]);
	cr_expect_eq(server.ended, 1);
	cr_expect_eq(server.delivered, 1);
}

Test(http2, the_body_must_be_as_long_as_announced, .init = start, .fini = stop)
{
	put_frame(SETTINGS, 0, 0, "", 0);
	put_request(1, 0, "content-length", "4");
	put_frame(DATA, END_STREAM, 1, "123", 3);
	put_request(3, 0, "content-length", "4");
	put_frame(DATA, END_STREAM, 3, "12345", 5);
	put_request(5, 0, "content-length", "4");
	put_frame(DATA, END_STREAM, 5, "1234", 4);
	cr_expect_eq(flush(NULL), 0);
	cr_expect_eq(reset_code(1), HTTP2_PROTOCOL_ERROR);
	cr_expect_eq(reset_code(3), HTTP2_PROTOCOL_ERROR);
	cr_expect_eq(reset_code(5), -1);
	cr_expect_eq(server.ended, 1);
}

Test(http2, fields_have_a_limit, .init = start, .fini = stop)
{
	_cleanup_buffer_ struct buffer block = { 0 };
	int i;

	put_frame(SETTINGS, 0, 0, "", 0);
	put_field(&block, ":method", "POST");
	put_field(&block, ":scheme", "http");
	put_field(&block, ":path", "/a");
	for (i = 0; i < 160; i++)
		put_field(&block, "x-name",
			"0123456789012345678901234567890123456789012345678901234567"
			"89012345678901234567890123456789012345678901234567890");
	put_frame(HEADERS, END_STREAM, 1, block.data, 16000);
	put_frame(CONTINUATION, END_HEADERS, 1, block.data + 16000, block.size - 16000);
	put_request(3, END_STREAM, NULL, NULL);
	cr_expect_eq(flush(NULL), 0);
	cr_expect_eq(reset_code(1), HTTP2_ENHANCE_YOUR_CALM);
	cr_expect_eq(server.delivered, 1);
}

Test(http2, more_streams_than_announced_are_refused, .init = start, .fini = stop)
{
	uint32_t i;

	server.is_silent = true;
	put_frame(SETTINGS, 0, 0, "", 0);
	for (i = 0; i < 110; i++)
		put_request(2 * i + 1, END_STREAM, NULL, NULL);
	cr_expect_eq(flush(NULL), 0);
	cr_expect_eq(server.begun, 100);
	cr_expect_eq(reset_code(201), HTTP2_REFUSED_STREAM);
	/* Once the limit has been acknowledged, it is an error. */
	put_frame(SETTINGS, ACK, 0, "", 0);
	put_request(301, END_STREAM, NULL, NULL);
	flush(NULL);
	cr_expect_eq(goaway_code(), HTTP2_PROTOCOL_ERROR);
}

Test(http2, the_window_is_given_back_as_data_is_taken, .init = start, .fini = stop)
{
	static const uint8_t zeros[16384];
	int i;

	put_frame(SETTINGS, 0, 0, "", 0);
	put_request(1, 0, NULL, NULL);
	for (i = 0; i < 256; i++) {
		put_frame(DATA, 0, 1, zeros, sizeof(zeros));
		cr_assert_eq(flush(NULL), 0);
	}
	cr_expect_eq(server.received, 4 << 20);
	cr_expect_not_null(find_frame(WINDOW_UPDATE, 1));
	cr_expect_eq(goaway_code(), -1);
}

Test(http2, more_than_the_window_is_an_error, .init = start, .fini = stop)
{
	static const uint8_t zeros[16384];
	int i;

	put_frame(SETTINGS, 0, 0, "", 0);
	put_frame(SETTINGS, ACK, 0, "", 0);
	put_request(1, 0, NULL, NULL);
	flush(NULL);
	http2_hold(server.last, true);
	for (i = 0; i < 64; i++)
		put_frame(DATA, 0, 1, zeros, sizeof(zeros));
	cr_expect_eq(flush(NULL), 0);
	cr_expect_eq(server.received, 1 << 20);
	cr_expect_null(find_frame(WINDOW_UPDATE, 1));
	put_frame(DATA, 0, 1, zeros, 1);
	flush(NULL);
	cr_expect(reset_code(1) == HTTP2_FLOW_CONTROL_ERROR ||
		goaway_code() == HTTP2_FLOW_CONTROL_ERROR);
}

Test(http2, a_ping_is_answered, .init = start, .fini = stop)
{
	put_frame(SETTINGS, 0, 0, "", 0);
	put_frame(PING, 0, 0, "12345678", 8);
	cr_expect_eq(flush(NULL), 0);
	cr_expect_eq(memcmp(find_frame(PING, 0) + 9, "12345678", 8), 0);
}

Test(http2, floods_end_the_connection, .init = start, .fini = stop)
{
	int i;

	put_frame(SETTINGS, 0, 0, "", 0);
	for (i = 0; i < 5000; i++)
		put_frame(i % 2 ? PING : SETTINGS, 0, 0, "12345678", i % 2 ? 8 : 0);
	put_request(1, END_STREAM, NULL, NULL);
	cr_expect_lt(flush(NULL), 0);
	cr_expect_eq(goaway_code(), HTTP2_ENHANCE_YOUR_CALM);
	cr_expect_eq(server.begun, 0);
	cr_expect(http2_is_over(server.http2));
}

Test(http2, resets_in_a_row_end_the_connection, .init = start, .fini = stop)
{
	uint32_t i;

	server.is_silent = true;
	put_frame(SETTINGS, 0, 0, "", 0);
	for (i = 0; i < 60; i++) {
		put_request(2 * i + 1, END_STREAM, NULL, NULL);
		put_frame(RST_STREAM, 0, 2 * i + 1, "\0\0\0\x08", 4);
	}
	flush(NULL);
	cr_expect_eq(goaway_code(), HTTP2_ENHANCE_YOUR_CALM);
	cr_expect_lt(server.begun, 60);
	cr_expect(http2_is_over(server.http2));
}

Test(http2, resets_among_answers_are_made_up_for, .init = start, .fini = stop)
{
	uint32_t i;

	put_frame(SETTINGS, 0, 0, "", 0);
	for (i = 0; i < 400; i++) {
		server.is_silent = i % 2;
		put_request(2 * i + 1, END_STREAM, NULL, NULL);
		if (server.is_silent)
			put_frame(RST_STREAM, 0, 2 * i + 1, "\0\0\0\x08", 4);
		cr_assert_eq(flush(NULL), 0);
	}
	cr_expect_eq(server.delivered, 200);
	cr_expect_eq(goaway_code(), -1);
}

Test(http2, wrong_frames_end_the_connection_with_the_right_code, .init = start, .fini = stop)
{
	static const struct {
		int type, flags;
		uint32_t id;
		size_t size;
		int code;
	} cases[] = {
		{ DATA, 0, 0, 4, HTTP2_PROTOCOL_ERROR },
		{ HEADERS, END_HEADERS, 0, 4, HTTP2_PROTOCOL_ERROR },
		{ HEADERS, END_HEADERS, 2, 4, HTTP2_PROTOCOL_ERROR },
		{ RST_STREAM, 0, 1, 4, HTTP2_PROTOCOL_ERROR },
		{ RST_STREAM, 0, 1, 3, HTTP2_FRAME_SIZE_ERROR },
		{ SETTINGS, 0, 0, 5, HTTP2_FRAME_SIZE_ERROR },
		{ SETTINGS, 0, 1, 0, HTTP2_PROTOCOL_ERROR },
		{ PING, 0, 0, 7, HTTP2_FRAME_SIZE_ERROR },
		{ PING, 0, 1, 8, HTTP2_PROTOCOL_ERROR },
		{ WINDOW_UPDATE, 0, 0, 4, HTTP2_PROTOCOL_ERROR }, /* by 0 */
		{ CONTINUATION, END_HEADERS, 1, 1, HTTP2_PROTOCOL_ERROR },
		{ DATA, 0, 1, 16385, HTTP2_FRAME_SIZE_ERROR },
	};
	static const uint8_t zeros[20000];
	struct error err = { 0 };
	size_t i;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		put_frame(SETTINGS, 0, 0, "", 0);
		put_frame(cases[i].type, cases[i].flags, cases[i].id, zeros, cases[i].size);
		flush(&err);
		cr_expect_eq(goaway_code(), cases[i].code, "case %zu: %d", i, goaway_code());
		cr_expect(http2_is_over(server.http2), "case %zu", i);
		stop();
		start();
	}
}

Test(http2, who_speaks_something_else_is_told_so, .init = start, .fini = stop)
{
	struct error err = { 0 };

	server.in.size = 0;
	buffer_append_text(&server.in, "GET / HTTP/1.1\r\nHost: x\r\n\r\n");
	cr_expect_eq(flush(&err), -EPROTO);
	cr_expect_neq(err.text[0], 0);
	cr_expect(http2_is_over(server.http2));
	cr_expect_not(http2_wants_read(server.http2));
	cr_expect_eq(goaway_code(), HTTP2_PROTOCOL_ERROR);
}

/* A small generator, so that a failure can be had again. */
static uint32_t next(uint32_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 17;
	*state ^= *state << 5;
	return *state;
}

Test(http2, thousands_of_damaged_conversations_do_no_harm, .init = start, .fini = stop)
{
	uint32_t state = 1, round, i;

	for (round = 0; round < 3000; round++) {
		put_frame(SETTINGS, 0, 0, "", 0);
		for (i = 0; i < 8; i++) {
			put_request(2 * i + 1, i % 2 ? END_STREAM : 0, "x-a", "b");
			if (i % 2 == 0)
				put_frame(DATA, END_STREAM, 2 * i + 1, "12345678", 8);
			if (i == 3)
				put_frame(RST_STREAM, 0, 5, "\0\0\0\x08", 4);
			put_frame(WINDOW_UPDATE, 0, 0, "\0\0\1\0", 4);
		}
		for (i = 0; i < 1 + round % 7; i++)
			server.in.data[24 + next(&state) % (server.in.size - 24)] = (uint8_t)next(
				&state);
		if (round % 3 == 0)
			server.in.size = 24 + next(&state) % (server.in.size - 24);
		server.is_silent = round % 5 == 0;
		flush(NULL);
		stop();
		start();
	}
}

Test(http2, a_graceful_end_takes_requests_until_the_peer_knows, .init = start, .fini = stop)
{
	const uint8_t *frame;

	server.is_silent = true;
	put_frame(SETTINGS, 0, 0, "", 0);
	put_request(1, END_STREAM, NULL, NULL);
	flush(NULL);
	http2_shutdown(server.http2);
	server.is_silent = false;
	put_request(3, END_STREAM, NULL, NULL);
	flush(NULL);
	cr_expect_eq(server.delivered, 1, "on its way when we decided");
	frame = find_frame(GOAWAY, 0);
	cr_expect_eq(frame[9], 0x7f, "nothing is refused yet");
	put_frame(PING, ACK, 0, find_frame(PING, 0) + 9, 8);
	flush(NULL);
	frame = find_frame(GOAWAY, 0);
	cr_expect_eq(frame[12], 3, "the last stream that we took");
	put_request(5, END_STREAM, NULL, NULL);
	flush(NULL);
	cr_expect_eq(server.begun, 2);
	cr_expect_not(http2_is_over(server.http2));
	put_frame(RST_STREAM, 0, 1, "\0\0\0\x08", 4);
	flush(NULL);
	cr_expect(http2_is_over(server.http2));
}
