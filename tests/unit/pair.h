#pragma once
/*
 * A gRPC client and a server that talk through memory, and a server's methods to
 * talk to. Text travels as message bytes.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include "proto/grpc.h"

struct pair {
	struct grpc *client, *server;
	size_t chunk; /* bytes carried at a time; 0: all */
	bool is_stalled; /* the server's kernel takes nothing */
	/* What the server saw. */
	unsigned calls, messages, half_closes, delivered, cancelled, drained, outputs;
	uint64_t timeout_us;
	struct grpc_call *waiting; /* of /t.T/Wait */
	struct grpc_call *last; /* that began */
	size_t last_size;
};

/* What one client's call came to. */
struct outcome {
	unsigned messages, ends;
	size_t bytes;
	enum grpc_code code;
	char message[256], reason[64], first[64], text[64];
};

static void count_delivered(struct grpc_call *call)
{
	((struct pair *)call->data)->delivered++;
}

static void count_cancelled(struct grpc_call *call)
{
	struct pair *pair = call->data;

	pair->cancelled++;
	if (pair->waiting == call)
		pair->waiting = NULL;
}

static void count_half_close(struct grpc_call *call)
{
	((struct pair *)call->data)->half_closes++;
}

static void count_drained(struct grpc_call *call)
{
	((struct pair *)call->data)->drained++;
}

static void echo(struct grpc_call *call, const uint8_t *data, size_t size)
{
	struct pair *pair = call->data;

	pair->messages++;
	pair->last_size = size;
	grpc_call_send(call, data, size);
	grpc_call_end(call, GRPC_OK, NULL, NULL);
}

static void answer_failure(struct grpc_call *call, const uint8_t *data, size_t size)
{
	((struct pair *)call->data)->messages++;
	grpc_call_end(call, GRPC_NOT_FOUND, "no '100%' \xc3\xa4 here", "SOURCE_NOT_FOUND");
}

static void answer_many(struct grpc_call *call, const uint8_t *data, size_t size)
{
	char text[16];
	int i;

	((struct pair *)call->data)->messages++;
	for (i = 0; i < 1000; i++)
		grpc_call_send(call, text, (size_t)snprintf(text, sizeof(text), "%d", i));
	grpc_call_end(call, GRPC_ABORTED, "enough", NULL);
}

static void answer_much(struct grpc_call *call, const uint8_t *data, size_t size)
{
	size_t much = 10 << 20;
	char *bytes = alloc0(much, 1);

	((struct pair *)call->data)->messages++;
	memset(bytes, 'x', much);
	grpc_call_send(call, bytes, much);
	free(bytes);
	grpc_call_end(call, GRPC_OK, NULL, NULL);
}

static void count_message(struct grpc_call *call, const uint8_t *data, size_t size)
{
	struct pair *pair = call->data;

	pair->messages++;
	pair->last_size = size;
}

static void keep_waiting(struct grpc_call *call, const uint8_t *data, size_t size)
{
	struct pair *pair = call->data;

	pair->messages++;
	pair->waiting = call;
}

static void answer_count(struct grpc_call *call)
{
	struct pair *pair = call->data;
	char text[16];

	pair->half_closes++;
	grpc_call_send(call, text, (size_t)snprintf(text, sizeof(text), "%u", pair->messages));
	grpc_call_end(call, GRPC_OK, NULL, NULL);
}

#define METHOD(message, half_close)                                                                \
	{                                                                                          \
		.on_message = (message), .on_half_close = (half_close),                            \
		.on_drained = count_drained, .on_delivered = count_delivered,                      \
		.on_cancelled = count_cancelled                                                    \
	}

static const struct {
	const char *path;
	bool is_unary;
	struct grpc_call_callbacks callbacks;
} methods[] = {
	{ "/t.T/Echo", true, METHOD(echo, count_half_close) },
	{ "/t.T/Fail", true, METHOD(answer_failure, count_half_close) },
	{ "/t.T/Many", true, METHOD(answer_many, count_half_close) },
	{ "/t.T/Much", true, METHOD(answer_much, count_half_close) },
	{ "/t.T/Wait", true, METHOD(keep_waiting, count_half_close) },
	{ "/t.T/Count", false, METHOD(count_message, answer_count) },
};

static void on_call(struct grpc_call *call, void *data)
{
	struct pair *pair = data;
	size_t i;

	pair->calls++;
	pair->last = call;
	pair->timeout_us = call->timeout_us;
	for (i = 0; i < ARRAY_SIZE(methods); i++) {
		if (strcmp(call->path, methods[i].path) != 0)
			continue;
		call->callbacks = &methods[i].callbacks;
		call->is_unary = methods[i].is_unary;
		call->data = pair;
	}
}

static void on_output(struct grpc *grpc, void *data)
{
	((struct pair *)data)->outputs++;
}

static struct pair *pair_new(void)
{
	struct pair *pair = new0(struct pair);
	struct grpc_config server = { .on_call = on_call, .on_output = on_output, .data = pair };
	struct grpc_config client = { 0 };

	pair->server = grpc_server_new(&server);
	pair->client = grpc_client_new(&client, "localhost");
	return pair;
}

static struct pair *pair_free(struct pair *pair)
{
	grpc_free(pair->client);
	grpc_free(pair->server);
	free(pair);
	return NULL;
}

DEFINE_CLEANUP(struct pair *, pair_free);

static bool carry(struct grpc *from, struct grpc *to, size_t chunk)
{
	const uint8_t *bytes;
	uint8_t *copy;
	size_t n;

	n = grpc_pull(from, &bytes);
	if (!n || !grpc_wants_read(to))
		return false;
	if (chunk && n > chunk)
		n = chunk;
	/* Its own memory, so that a sanitizer sees who reads on. */
	copy = malloc(n);
	memcpy(copy, bytes, n);
	grpc_taken(from, n);
	grpc_receive(to, copy, n, NULL);
	free(copy);
	return true;
}

/* Until nobody has anything to say. */
static inline void run(struct pair *pair)
{
	bool has_moved = true;
	const uint8_t *bytes;

	while (has_moved) {
		has_moved = carry(pair->client, pair->server, pair->chunk);
		if (pair->is_stalled)
			grpc_pull(pair->server, &bytes);
		else
			has_moved |= carry(pair->server, pair->client, pair->chunk);
	}
}

static void note_message(struct grpc_call *call, const uint8_t *data, size_t size)
{
	struct outcome *outcome = call->data;
	size_t n = size < sizeof(outcome->text) - 1 ? size : sizeof(outcome->text) - 1;

	outcome->messages++;
	outcome->bytes += size;
	if (n)
		memcpy(outcome->text, data, n);
	outcome->text[n] = 0;
	if (outcome->messages == 1)
		memcpy(outcome->first, outcome->text, sizeof(outcome->first));
}

static void note_end(struct grpc_call *call, const struct grpc_result *result)
{
	struct outcome *outcome = call->data;

	outcome->ends++;
	outcome->code = result->code;
	snprintf(outcome->message, sizeof(outcome->message), "%s",
		result->message ? result->message : "");
	snprintf(outcome->reason, sizeof(outcome->reason), "%s",
		result->reason ? result->reason : "");
}

static const struct grpc_call_callbacks noting = { .on_message = note_message, .on_end = note_end };

static inline struct grpc_call *begin(
	struct pair *pair, const char *path, uint64_t timeout_us, struct outcome *outcome)
{
	return grpc_call_begin(pair->client, path, timeout_us, &noting, outcome);
}

/* A unary request, not yet on its way. */
static inline struct grpc_call *ask(
	struct pair *pair, const char *path, const char *text, struct outcome *outcome)
{
	struct grpc_call *call = begin(pair, path, GRPC_NO_TIMEOUT, outcome);

	cr_assert_not_null(call);
	grpc_call_send(call, text, strlen(text));
	grpc_call_half_close(call);
	return call;
}
