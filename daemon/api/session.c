/*
 * The socket is read and written here and nowhere else. What comes is handed to
 * proto/grpc, which calls back into this file, which calls the handlers; whatever
 * they answer is written at once, at the end of the same turn (flush()), and only
 * what the kernel does not take waits for EV_WRITE. An answer that comes later, from
 * a handler's own callback, makes grpc call on_output(), which arranges for a turn.
 *
 * A session is freed by its owner only, from the loop: `ended` is told through an
 * event, never in the middle of a turn.
 */
#include "daemon/api/session.h"

#include <errno.h>
#include <event2/event.h>
#include <sys/socket.h>
#include <unistd.h>
#include "base/log.h"
#include "daemon/api/convert.h"
#include "proto/grpc.h"
#include "proto/message.h"

#define READ_SIZE 65536
#define MAX_READS_A_TURN 8
/* A client answers the announcement of an end at once; some only when they are used
 * next, and some never. */
#define DRAIN_ANSWER_MS 500

struct session {
	struct list link; /* the owner's */
	const struct session_config *config;
	int fd;
	struct peer peer;
	char *refusal;
	struct grpc *grpc;
	struct event *on_read, *on_write, *on_flush, *on_idle, *on_ended;
	bool is_failed, is_draining;
};

static void flush(struct session *session);

/* ---- calls */

static struct rpc *rpc_of(struct grpc_call *call)
{
	return call->data;
}

static void rpc_free(struct rpc *rpc)
{
	if (rpc->deadline)
		event_free(rpc->deadline);
	free(rpc);
}

static void rpc_close(struct rpc *rpc, bool delivered)
{
	if (rpc->closed)
		rpc->closed(rpc, delivered);
	rpc_free(rpc);
}

void rpc_send(struct rpc *rpc, const ProtobufCMessage *message)
{
	grpc_call_send_message(rpc->call, message);
}

void rpc_end(struct rpc *rpc)
{
	rpc->is_answered = true;
	grpc_call_end(rpc->call, GRPC_OK, NULL, NULL);
}

void rpc_reply(struct rpc *rpc, const ProtobufCMessage *message)
{
	rpc_send(rpc, message);
	rpc_end(rpc);
}

void rpc_fail(struct rpc *rpc, const struct error *err)
{
	rpc_fail_about(rpc, err, NULL);
}

void rpc_fail_about(struct rpc *rpc, const struct error *err, const char *source)
{
	const char *const metadata[] = { "source", source, NULL };
	struct grpc_result result = {
		.code = convert_status(err),
		.message = err->text,
		.reason = err->reason[0] ? err->reason : "INTERNAL_ERROR",
		.metadata = source ? metadata : NULL,
	};

	rpc->is_answered = true;
	grpc_call_end_with(rpc->call, &result);
}

void rpc_hold(struct rpc *rpc, bool is_held)
{
	grpc_call_hold(rpc->call, is_held);
}

static void on_deadline(evutil_socket_t fd, short what, void *data)
{
	struct rpc *rpc = data;
	struct error err;

	if (rpc->is_answered)
		return;
	fail(&err, -ETIME, "DEADLINE", "the deadline of the call passed");
	if (rpc->expired)
		rpc->expired(rpc);
	rpc_fail(rpc, &err);
}

static void set_deadline(struct rpc *rpc, uint64_t timeout_us)
{
	struct timeval t = {
		.tv_sec = (time_t)(timeout_us / 1000000),
		.tv_usec = (suseconds_t)(timeout_us % 1000000),
	};

	rpc->deadline = event_new(rpc->session->config->base, -1, 0, on_deadline, rpc);
	event_add(rpc->deadline, &t);
}

static void on_message(struct grpc_call *call, const uint8_t *data, size_t size)
{
	struct rpc *rpc = rpc_of(call);
	ProtobufCMessage *request = NULL;
	struct error err = { 0 };

	if (message_unpack(rpc->method->request, data, size, &request, &err)) {
		rpc_fail(rpc, &err);
		return;
	}
	rpc->method->handle(rpc, request);
	message_free(request);
	if (!rpc->is_answered && !rpc->deadline && call->timeout_us != GRPC_NO_TIMEOUT)
		set_deadline(rpc, call->timeout_us);
}

static void on_half_close(struct grpc_call *call)
{
	struct rpc *rpc = rpc_of(call);

	if (rpc->method->half_close)
		rpc->method->half_close(rpc);
	else if (rpc->method->is_stream)
		rpc_end(rpc);
}

static void on_delivered(struct grpc_call *call)
{
	rpc_close(rpc_of(call), true);
}

static void on_cancelled(struct grpc_call *call)
{
	rpc_close(rpc_of(call), false);
}

static const struct rpc_method *find_method(const struct session_config *config, const char *path)
{
	const struct rpc_service *const *service;
	size_t i;

	for (service = config->services; *service; service++)
		for (i = 0; i < (*service)->method_count; i++)
			if (text_equal((*service)->methods[i].path, path))
				return &(*service)->methods[i];
	return NULL;
}

static void on_call(struct grpc_call *call, void *data)
{
	static const struct grpc_call_callbacks callbacks = {
		.on_message = on_message,
		.on_half_close = on_half_close,
		.on_delivered = on_delivered,
		.on_cancelled = on_cancelled,
	};
	struct session *session = data;
	const struct rpc_method *method = find_method(session->config, call->path);
	struct rpc *rpc;

	if (!method) {
		_cleanup_free_ char *text = text_format("there is no method '%s' here", call->path);

		grpc_call_end(call, GRPC_UNIMPLEMENTED, text, NULL);
		return;
	}
	if (session->refusal) {
		grpc_call_end(call, GRPC_PERMISSION_DENIED, session->refusal, "NOT_ALLOWED");
		return;
	}
	rpc = new0(struct rpc);
	rpc->api = session->config->api;
	rpc->peer = &session->peer;
	rpc->method = method;
	rpc->call = call;
	rpc->session = session;
	call->callbacks = &callbacks;
	call->data = rpc;
	call->is_unary = !method->is_stream;
}

/* ---- turns */

static void on_output(struct grpc *grpc, void *data)
{
	struct session *session = data;

	event_active(session->on_flush, EV_TIMEOUT, 0);
}

static void end_soon(struct session *session)
{
	session->is_failed = true;
	event_del(session->on_read);
	event_del(session->on_write);
	event_active(session->on_ended, EV_TIMEOUT, 0);
}

static void write_out(struct session *session)
{
	const uint8_t *bytes;
	size_t size;

	while ((size = grpc_pull(session->grpc, &bytes))) {
		ssize_t n = send(session->fd, bytes, size, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN) {
			event_add(session->on_write, NULL);
			return;
		}
		if (n < 0) {
			end_soon(session);
			return;
		}
		grpc_taken(session->grpc, (size_t)n);
	}
}

static void restart_idle(struct session *session)
{
	uint32_t ms = session->is_draining ? DRAIN_ANSWER_MS : session->config->idle_timeout_ms;
	struct timeval t = { .tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000 };

	event_add(session->on_idle, &t);
}

static void flush(struct session *session)
{
	if (session->is_failed)
		return;
	write_out(session);
	if (session->is_failed)
		return;
	if (grpc_is_over(session->grpc)) {
		end_soon(session);
		return;
	}
	if (grpc_wants_read(session->grpc))
		event_add(session->on_read, NULL);
	else
		event_del(session->on_read);
}

static void on_read(evutil_socket_t fd, short what, void *data)
{
	struct session *session = data;
	uint8_t buffer[READ_SIZE];
	int i;

	for (i = 0; i < MAX_READS_A_TURN && grpc_wants_read(session->grpc); i++) {
		ssize_t n = recv(session->fd, buffer, sizeof(buffer), MSG_DONTWAIT);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			break;
		if (n <= 0) {
			end_soon(session);
			return;
		}
		if (grpc_receive(session->grpc, buffer, (size_t)n, NULL)) {
			write_out(session);
			end_soon(session);
			return;
		}
		write_out(session);
		if ((size_t)n < sizeof(buffer))
			break;
	}
	flush(session);
}

static void on_write(evutil_socket_t fd, short what, void *data)
{
	flush(data);
}

static void on_flush(evutil_socket_t fd, short what, void *data)
{
	flush(data);
}

static void on_idle(evutil_socket_t fd, short what, void *data)
{
	struct session *session = data;

	restart_idle(session);
	if (session->is_failed || grpc_count_calls(session->grpc))
		return;
	if (!session->is_draining) {
		session_drain(session);
		return;
	}
	grpc_terminate(session->grpc);
	write_out(session);
	end_soon(session);
}

static void on_ended(evutil_socket_t fd, short what, void *data)
{
	struct session *session = data;

	session->config->ended(session, session->config->data);
}

/* ---- life */

struct session *session_new(
	const struct session_config *config, int fd, struct peer *peer, const char *refusal)
{
	struct session *session = new0(struct session);
	struct grpc_config grpc = {
		.max_calls = config->max_streams,
		.on_call = on_call,
		.on_output = on_output,
		.data = session,
	};

	session->config = config;
	session->fd = fd;
	session->peer = STEAL(*peer);
	session->refusal = text_copy(refusal);
	session->on_read = event_new(config->base, fd, EV_READ | EV_PERSIST, on_read, session);
	session->on_write = event_new(config->base, fd, EV_WRITE, on_write, session);
	session->on_flush = event_new(config->base, -1, 0, on_flush, session);
	session->on_idle = event_new(config->base, -1, 0, on_idle, session);
	session->on_ended = event_new(config->base, -1, 0, on_ended, session);
	session->grpc = grpc_server_new(&grpc);
	event_add(session->on_read, NULL);
	restart_idle(session);
	on_output(session->grpc, session);
	return session;
}

struct session *session_free(struct session *session)
{
	if (!session)
		return NULL;
	session->is_failed = true;
	grpc_free(session->grpc);
	event_free(session->on_read);
	event_free(session->on_write);
	event_free(session->on_flush);
	event_free(session->on_idle);
	event_free(session->on_ended);
	close(session->fd);
	identity_deinit(&session->peer.identity);
	free(session->refusal);
	free(session);
	return NULL;
}

void session_drain(struct session *session)
{
	session->is_draining = true;
	restart_idle(session);
	grpc_shutdown(session->grpc);
	event_active(session->on_flush, EV_TIMEOUT, 0);
}

struct list *session_link(struct session *session)
{
	return &session->link;
}

struct session *session_of_link(struct list *link)
{
	return container_of(link, struct session, link);
}
