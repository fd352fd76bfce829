/* What a gRPC server says to requests that its own client would never make. */
#include <criterion/criterion.h>
#include <stdio.h>
#include "proto/grpc.h"

/* A client of HTTP/2 only, and what it got for its one request. */
struct visitor {
	struct grpc *server;
	struct http2 *http2;
	struct http2_stream stream;
	char status[8], grpc_status[8], type[32];
	struct buffer body;
	unsigned calls, messages, closed, last;
	bool is_delivered;
};

static void on_field(struct http2_stream *stream, const struct http2_field *field)
{
	struct visitor *visitor = container_of(stream, struct visitor, stream);

	if (http2_field_is(field, ":status"))
		snprintf(visitor->status, sizeof(visitor->status), "%.*s", (int)field->value_size,
			field->value);
	if (http2_field_is(field, "grpc-status"))
		snprintf(visitor->grpc_status, sizeof(visitor->grpc_status), "%.*s",
			(int)field->value_size, field->value);
	if (http2_field_is(field, "content-type"))
		snprintf(visitor->type, sizeof(visitor->type), "%.*s", (int)field->value_size,
			field->value);
}

static void on_fields(struct http2_stream *stream, enum http2_block block)
{
}

static void on_data(struct http2_stream *stream, const uint8_t *data, size_t size)
{
	buffer_append(&container_of(stream, struct visitor, stream)->body, data, size);
}

static void on_end(struct http2_stream *stream)
{
}

static void on_closed(struct http2_stream *stream, bool is_delivered, enum http2_code code)
{
	struct visitor *visitor = container_of(stream, struct visitor, stream);

	visitor->closed++;
	visitor->is_delivered = is_delivered;
}

static const struct http2_handler handler = { .on_field = on_field,
	.on_fields = on_fields,
	.on_data = on_data,
	.on_end = on_end,
	.on_closed = on_closed };

static void on_message(struct grpc_call *call, const uint8_t *data, size_t size)
{
	((struct visitor *)call->data)->messages++;
	grpc_call_send(call, data, size);
	grpc_call_end(call, GRPC_OK, NULL, NULL);
}

static void on_last(struct grpc_call *call)
{
	((struct visitor *)call->data)->last++;
}

static const struct grpc_call_callbacks callbacks = {
	.on_message = on_message, .on_delivered = on_last, .on_cancelled = on_last
};

static void on_call(struct grpc_call *call, void *data)
{
	struct visitor *visitor = data;
	const char *authority = grpc_get_metadata(call, ":authority");

	visitor->calls++;
	cr_expect(!authority || strcmp(authority, "/run/x.sock") == 0);
	cr_expect_null(grpc_get_metadata(call, "x-absent"));
	call->callbacks = &callbacks;
	call->data = visitor;
	call->is_unary = true;
}

static void visitor_init(struct visitor *visitor)
{
	struct http2_config client = {
		.stream_window = 65535, .connection_window = 65535, .max_fields_bytes = 16384
	};
	struct grpc_config server = { .on_call = on_call, .data = visitor };

	*visitor = (struct visitor){ 0 };
	visitor->http2 = http2_new(&client, &handler, visitor);
	visitor->server = grpc_server_new(&server);
}

static void visitor_deinit(struct visitor *visitor)
{
	grpc_free(visitor->server);
	http2_free(visitor->http2);
	buffer_deinit(&visitor->body);
	cr_expect_eq(visitor->closed, 1);
	cr_expect_eq(visitor->last, visitor->calls);
}

static void run(struct visitor *visitor)
{
	const uint8_t *bytes;
	size_t n, m;

	do {
		n = http2_pull(visitor->http2, &bytes);
		grpc_receive(visitor->server, bytes, n, NULL);
		http2_taken(visitor->http2, n);
		m = grpc_pull(visitor->server, &bytes);
		http2_receive(visitor->http2, bytes, m, NULL);
		grpc_taken(visitor->server, m);
	} while (n || m);
}

/* Each of @extra is added to a good request, or replaces the field of that name;
 * a value of NULL takes it away. */
static void visit(struct visitor *visitor, const char *const *extra, const void *body, size_t size,
	const struct http2_field *trailers, size_t trailer_count)
{
	static const char *const good[][2] = { { ":method", "POST" }, { ":scheme", "http" },
		{ ":path", "/t.T/Echo" }, { ":authority", "/run/x.sock" },
		{ "content-type", "application/grpc" } };
	struct http2_field fields[12];
	size_t count = 0, i, j;

	for (i = 0; i < ARRAY_SIZE(good); i++) {
		for (j = 0; extra[j] && strcmp(extra[j], good[i][0]) != 0;)
			j += 2;
		if (!extra[j])
			fields[count++] = (struct http2_field){ good[i][0], good[i][1],
				strlen(good[i][0]), strlen(good[i][1]), false };
		else if (extra[j + 1])
			fields[count++] = (struct http2_field){ extra[j], extra[j + 1],
				strlen(extra[j]), strlen(extra[j + 1]), false };
	}
	for (j = 0; extra[j]; j += 2)
		if (extra[j][0] != ':' && strcmp(extra[j], "content-type") != 0)
			fields[count++] = (struct http2_field){ extra[j], extra[j + 1],
				strlen(extra[j]), strlen(extra[j + 1]), false };
	cr_assert_eq(http2_begin(visitor->http2, &visitor->stream, fields, count), 0);
	buffer_append(http2_get_output(&visitor->stream), body, size);
	http2_send(&visitor->stream);
	http2_end(&visitor->stream, trailers, trailer_count);
	run(visitor);
}

#define MESSAGE "\0\0\0\0\5hello"

Test(grpc_http, requests_are_taken_or_refused_by_their_fields)
{
	static const struct {
		const char *extra[5];
		const char *status, *grpc_status;
		unsigned messages;
	} cases[] = {
		{ { NULL }, "200", "0", 1 },
		{ { "content-type", "application/grpc+proto" }, "200", "0", 1 },
		{ { "content-type", "application/grpc;charset=utf-8" }, "200", "0", 1 },
		{ { "grpc-encoding", "identity", "te", "trailers" }, "200", "0", 1 },
		{ { "grpc-timeout", "100m" }, "200", "0", 1 },
		{ { ":authority", NULL }, "200", "0", 1 },
		{ { "content-type", NULL }, "415", "", 0 },
		{ { "content-type", "application/json" }, "415", "", 0 },
		{ { "content-type", "application/grpc-web" }, "415", "", 0 },
		{ { ":method", "GET" }, "405", "", 0 },
		{ { ":method", "PUT" }, "405", "", 0 },
		{ { "grpc-encoding", "gzip" }, "200", "12", 0 },
		{ { "grpc-timeout", "100" }, "200", "13", 0 },
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		struct visitor visitor;

		visitor_init(&visitor);
		visit(&visitor, cases[i].extra, MESSAGE, 10, NULL, 0);
		cr_expect_str_eq(visitor.status, cases[i].status, "case %zu", i);
		cr_expect_str_eq(visitor.grpc_status, cases[i].grpc_status, "case %zu", i);
		cr_expect_eq(visitor.messages, cases[i].messages, "case %zu", i);
		cr_expect(visitor.is_delivered);
		visitor_deinit(&visitor);
	}
}

Test(grpc_http, messages_are_taken_or_refused_by_their_prefix)
{
	static const struct {
		const char *body;
		size_t size;
		const char *grpc_status;
	} cases[] = {
		{ MESSAGE, 10, "0" },
		{ "", 0, "13" },
		{ "\0\0\0", 3, "13" }, /* half a prefix */
		{ MESSAGE, 9, "13" }, /* half a message */
		{ MESSAGE MESSAGE, 20, "13" }, /* two */
		{ MESSAGE "\0", 11, "13" },
		{ "\1\0\0\0\1x", 6, "12" }, /* compressed */
		{ "\2\0\0\0\1x", 6, "13" },
		{ "\0\1\0\0\1x", 6, "8" }, /* 16 MiB and a byte */
		{ "\0\xff\xff\xff\xff", 5, "8" },
	};
	static const char *const nothing[] = { NULL };
	size_t i;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		struct visitor visitor;

		visitor_init(&visitor);
		visit(&visitor, nothing, cases[i].body, cases[i].size, NULL, 0);
		cr_expect_str_eq(visitor.grpc_status, cases[i].grpc_status, "case %zu: %s", i,
			visitor.grpc_status);
		cr_expect_eq(visitor.messages, i == 0);
		visitor_deinit(&visitor);
	}
}

Test(grpc_http, trailers_of_a_request_do_not_make_it_another)
{
	static const struct http2_field trailers[] = { HTTP2_FIELD(
		"content-type", "application/grpc") };
	static const char *const no_type[] = { "content-type", NULL, NULL };
	static const char *const nothing[] = { NULL };
	struct visitor visitor;

	visitor_init(&visitor);
	visit(&visitor, no_type, MESSAGE, 10, trailers, 1);
	cr_expect_str_eq(visitor.status, "415");
	cr_expect_str_eq(visitor.type, "text/plain");
	cr_expect_gt(visitor.body.size, 0);
	cr_expect_eq(visitor.calls, 0);
	visitor_deinit(&visitor);

	visitor_init(&visitor);
	visit(&visitor, nothing, MESSAGE, 10, trailers, 1);
	cr_expect_str_eq(visitor.grpc_status, "0");
	visitor_deinit(&visitor);
}
