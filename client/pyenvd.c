/*
 * One connection and its calls, one at a time, driven by poll().
 *
 * A call's state lives in the client, not on the stack of who called: when the
 * daemon does not even take the reset of a cancelled call, we return without having
 * heard of its end, and hear of it when the connection is freed.
 *
 * The deadline is kept on both sides. Ours is a little later, because the daemon
 * knows better what it was that took so long, and its words should win.
 */
#include "client/pyenvd.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/error.h"
#include "base/util.h"
#include "client/address.h"
#include "proto/grpc.h"
#include "proto/message.h"

#define SYSTEM_SOCKET "/run/pyenvd/pyenvd.sock"
#define DEADLINE_GRACE_US 250000
/* Of an upload: what is read at a time, and how much may wait for the daemon. */
#define PIECE_SIZE (256 * 1024)
#define MAX_WAITING (1 << 20)
/* How long the daemon may take to take the reset of a call. */
#define RESET_GRACE_US 100000

_Static_assert((int)PYENVD_UNAUTHENTICATED == (int)GRPC_UNAUTHENTICATED, "gRPC's numbers");

struct pyenvd {
	int fd, cancel_fd; /* owned */
	struct grpc *grpc; /* owned; NULL: the connection is over */
	char *path; /* owned; for words */
	uint64_t timeout_ms;
	bool is_write_shut; /* the daemon reads no more; what it wrote is still read */

	/* The call that is running, or was the last. */
	struct grpc_call *call; /* NULL: it has ended */
	const ProtobufCMessageDescriptor *answer;
	const struct pyenvd_listener *listener; /* NULL: unary */
	const struct pyenvd_reader *reader; /* of an upload, until all is read */
	uint8_t *piece; /* owned; PIECE_SIZE */
	ProtobufCMessage *response; /* owned; unary */
	struct pyenvd_error error; /* its end */
	bool is_decided; /* the error was found here: what the end says does not matter */
};

const char *pyenvd_code_name(enum pyenvd_code code)
{
	return grpc_code_name((enum grpc_code)code);
}

char *pyenvd_default_path(void)
{
	struct address_hints hints = {
		.asked = getenv("PYENVD_SOCKET"),
		.system = SYSTEM_SOCKET,
		.runtime = getenv("XDG_RUNTIME_DIR"),
		.uid = geteuid(),
	};

	return address_choose(&hints);
}

void pyenvd_message_free(void *message)
{
	message_free(message);
}

/* Returns the code. */
static enum pyenvd_code report(
	struct pyenvd_error *error, enum pyenvd_code code, const char *message)
{
	if (!error)
		return code;
	*error = (struct pyenvd_error){ .code = code, .is_local = true };
	snprintf(error->message, sizeof(error->message), "%s", message);
	return code;
}

static void decide(struct pyenvd *client, enum pyenvd_code code, const char *message)
{
	if (client->is_decided)
		return;
	client->is_decided = true;
	report(&client->error, code, message);
}

/* --- connection --- */

struct pyenvd *pyenvd_close(struct pyenvd *client)
{
	if (!client)
		return NULL;
	grpc_free(client->grpc);
	message_free(client->response);
	free(client->piece);
	cleanup_close(&client->cancel_fd);
	cleanup_close(&client->fd);
	free(client->path);
	free(client);
	return NULL;
}

DEFINE_CLEANUP(struct pyenvd *, pyenvd_close);

enum pyenvd_code pyenvd_connect(
	const char *path, uint64_t timeout_ms, struct pyenvd **ret, struct pyenvd_error *error)
{
	_cleanup_(pyenvd_closep) struct pyenvd *client = new0(struct pyenvd);
	struct grpc_config config = { 0 };
	struct error err = { 0 };

	client->cancel_fd = -1;
	client->path = path ? text_copy(path) : pyenvd_default_path();
	client->fd = address_connect(client->path, timeout_ms, &err);
	if (client->fd == -ETIMEDOUT)
		return report(error, PYENVD_DEADLINE_EXCEEDED, err.text);
	if (client->fd < 0)
		return report(error, PYENVD_UNAVAILABLE, err.text);
	client->cancel_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (client->cancel_fd < 0)
		return report(error, PYENVD_RESOURCE_EXHAUSTED, "cannot make an eventfd");
	client->grpc = grpc_client_new(&config, "localhost");
	*ret = STEAL(client);
	return PYENVD_OK;
}

void pyenvd_set_timeout(struct pyenvd *client, uint64_t timeout_ms)
{
	client->timeout_ms = timeout_ms;
}

void pyenvd_cancel(struct pyenvd *client)
{
	int saved = errno;

	/* A full counter is as good as one more. */
	if (eventfd_write(client->cancel_fd, 1))
		errno = saved;
	errno = saved;
}

/* The connection is over; a call that runs is told. */
static void lose(struct pyenvd *client, const char *why)
{
	_cleanup_free_ char *words = NULL;

	words = text_format("lost the daemon at '%s': %s", client->path, why);
	decide(client, PYENVD_UNAVAILABLE, words);
	client->grpc = grpc_free(client->grpc);
}

/* --- bytes --- */

/* Writes what can be written now. True: there is more. */
static bool push(struct pyenvd *client)
{
	const uint8_t *bytes;
	size_t size;
	ssize_t n;

	while (!client->is_write_shut && (size = grpc_pull(client->grpc, &bytes))) {
		n = send(client->fd, bytes, size, MSG_NOSIGNAL);
		if (n >= 0)
			grpc_taken(client->grpc, (size_t)n);
		else if (errno == EAGAIN)
			return true;
		else if (errno != EINTR)
			client->is_write_shut = true;
	}
	return false;
}

/* Reads once. */
static void pull(struct pyenvd *client)
{
	uint8_t bytes[16384];
	struct error err = { 0 };
	ssize_t n;

	n = recv(client->fd, bytes, sizeof(bytes), 0);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n < 0) {
		lose(client, strerror(errno));
	} else if (n == 0) {
		lose(client, "it closed the connection");
	} else if (grpc_receive(client->grpc, bytes, (size_t)n, &err)) {
		push(client);
		lose(client, err.text);
	}
}

/* --- a call --- */

static void give_up(struct pyenvd *client, enum pyenvd_code code, const char *message)
{
	decide(client, code, message);
	if (client->call)
		grpc_call_cancel(client->call);
}

static void on_message(struct grpc_call *call, const uint8_t *data, size_t size)
{
	struct pyenvd *client = call->data;
	_cleanup_message_ ProtobufCMessage *message = NULL;
	struct error err = { 0 };

	if (client->is_decided)
		return;
	if (message_unpack(client->answer, data, size, &message, &err)) {
		error_prefix(&err, "the daemon's answer is wrong");
		give_up(client, PYENVD_INTERNAL, err.text);
	} else if (client->listener) {
		if (!client->listener->on_message(message, client->listener->data))
			give_up(client, PYENVD_CANCELLED, "cancelled");
	} else if (client->response) {
		give_up(client, PYENVD_INTERNAL, "the daemon answered twice");
	} else {
		client->response = STEAL(message);
	}
}

static void on_end(struct grpc_call *call, const struct grpc_result *result)
{
	struct pyenvd *client = call->data;
	struct pyenvd_error *error = &client->error;
	const char *const *pair;

	client->call = NULL;
	if (client->is_decided)
		return;
	client->is_decided = true;
	error->code = (enum pyenvd_code)result->code;
	snprintf(error->reason, sizeof(error->reason), "%s", result->reason ? result->reason : "");
	snprintf(error->message, sizeof(error->message), "%s",
		text_is_empty(result->message) ? grpc_code_name(result->code) : result->message);
	for (pair = result->metadata; pair && pair[0] && pair[1]; pair += 2)
		if (text_equal(pair[0], "source") && strlen(pair[1]) < sizeof(error->source))
			memcpy(error->source, pair[1], strlen(pair[1]) + 1);
}

static const struct grpc_call_callbacks callbacks = {
	.on_message = on_message,
	.on_end = on_end,
};

/* In milliseconds for poll(), rounded up; -1: for ever. */
static int time_left(uint64_t deadline_us)
{
	uint64_t now = clock_now_us();

	if (deadline_us == UINT64_MAX)
		return -1;
	if (deadline_us <= now)
		return 0;
	if (deadline_us - now > 1000000000)
		return 1000000;
	return (int)((deadline_us - now + 999) / 1000);
}

/* Until something has happened, or the deadline has passed. */
static void wait_for(struct pyenvd *client, bool has_more, uint64_t deadline_us)
{
	struct pollfd fds[] = {
		{ .fd = client->fd },
		{ .fd = client->is_decided ? -1 : client->cancel_fd, .events = POLLIN },
	};
	eventfd_t count;

	if (has_more)
		fds[0].events |= POLLOUT;
	if (grpc_wants_read(client->grpc) || client->is_write_shut)
		fds[0].events |= POLLIN;
	if (poll(fds, 2, time_left(deadline_us)) < 0)
		return;
	if (fds[1].revents && eventfd_read(client->cancel_fd, &count) == 0)
		give_up(client, PYENVD_CANCELLED, "cancelled");
	else if (fds[0].revents & ~POLLOUT)
		pull(client);
}

static void give_up_late(struct pyenvd *client)
{
	_cleanup_free_ char *words = NULL;

	words = text_format("the daemon at '%s' did not answer within %.3g s", client->path,
		(double)client->timeout_ms / 1000);
	give_up(client, PYENVD_DEADLINE_EXCEEDED, words);
}

/* Whether the upload that is running can take more of its content. */
static bool wants_pieces(const struct pyenvd *client)
{
	return client->reader && client->call && !client->is_decided &&
		grpc_call_get_queued(client->call) < MAX_WAITING;
}

static void send_pieces(struct pyenvd *client)
{
	Pyenvd__V1__UploadArtifactRequest request = PYENVD__V1__UPLOAD_ARTIFACT_REQUEST__INIT;
	long n;

	while (wants_pieces(client)) {
		n = client->reader->read(client->piece, PIECE_SIZE, client->reader->data);
		if (n < 0) {
			give_up(client, PYENVD_CANCELLED, "cancelled");
		} else if (n == 0) {
			client->reader = NULL;
			grpc_call_half_close(client->call);
		} else {
			request.part_case = PYENVD__V1__UPLOAD_ARTIFACT_REQUEST__PART_CHUNK;
			request.chunk.data = client->piece;
			request.chunk.len = (size_t)n;
			grpc_call_send_message(client->call, &request.base);
		}
	}
}

/* Until when to wait: of an upload that can go on, not at all. */
static uint64_t patience(const struct pyenvd *client, uint64_t deadline_us, uint64_t reset_us)
{
	if (reset_us)
		return reset_us;
	return wants_pieces(client) ? 0 : deadline_us;
}

static void drive(struct pyenvd *client)
{
	uint64_t deadline_us = UINT64_MAX, reset_us = 0;
	bool has_more;

	if (client->timeout_ms)
		deadline_us = clock_now_us() + client->timeout_ms * 1000 + DEADLINE_GRACE_US;
	while (client->call) {
		send_pieces(client);
		has_more = push(client);
		if (!client->call)
			return;
		/* Only a reset that the daemon does not take is still to come. */
		if (client->is_decided && !reset_us)
			reset_us = clock_now_us() + RESET_GRACE_US;
		wait_for(client, has_more, patience(client, deadline_us, reset_us));
		if (!client->grpc)
			return;
		if (reset_us && clock_now_us() >= reset_us)
			lose(client, "it takes no reset");
		else if (!reset_us && clock_now_us() >= deadline_us)
			give_up_late(client);
		if (!client->grpc)
			return;
	}
	push(client);
}

static enum pyenvd_code begin(struct pyenvd *client, const ProtobufCMethodDescriptor *method,
	const char *service, const ProtobufCMessage *request)
{
	uint64_t timeout_us = client->timeout_ms ? client->timeout_ms * 1000 : GRPC_NO_TIMEOUT;
	_cleanup_free_ char *path = NULL;

	client->error = (struct pyenvd_error){ 0 };
	client->is_decided = false;
	client->answer = method->output;
	client->response = message_free(client->response);
	if (!client->grpc)
		return report(&client->error, PYENVD_UNAVAILABLE, "the connection is over");
	path = text_format("/%s/%s", service, method->name);
	client->call = grpc_call_begin(client->grpc, path, timeout_us, &callbacks, client);
	if (!client->call)
		return report(&client->error, PYENVD_UNAVAILABLE,
			"the daemon takes no more calls on this connection");
	grpc_call_send_message(client->call, request);
	if (!client->reader)
		grpc_call_half_close(client->call);
	return PYENVD_OK;
}

static const ProtobufCMethodDescriptor *find_method(const char *name, const char **service)
{
	static const ProtobufCServiceDescriptor *const services[] = {
		&pyenvd__v1__environments__descriptor,
		&pyenvd__v1__admin__descriptor,
	};
	const ProtobufCMethodDescriptor *method;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(services); i++) {
		method = protobuf_c_service_descriptor_get_method_by_name(services[i], name);
		*service = services[i]->name;
		if (method)
			return method;
	}
	return NULL;
}

static enum pyenvd_code call(
	struct pyenvd *client, const char *name, const ProtobufCMessage *request)
{
	const ProtobufCMethodDescriptor *method;
	const char *service;

	method = find_method(name, &service);
	if (!method || method->input != request->descriptor)
		return report(&client->error, PYENVD_UNIMPLEMENTED,
			"there is no such call with such a request");
	if (begin(client, method, service, request) == PYENVD_OK)
		drive(client);
	return client->error.code;
}

enum pyenvd_code pyenvd_call(struct pyenvd *client, const char *method,
	const ProtobufCMessage *request, ProtobufCMessage **ret, struct pyenvd_error *error)
{
	client->listener = NULL;
	if (call(client, method, request) == PYENVD_OK && !client->response)
		report(&client->error, PYENVD_INTERNAL, "the daemon's answer is empty");
	if (client->error.code && error)
		*error = client->error;
	if (!client->error.code)
		*ret = STEAL(client->response);
	return client->error.code;
}

enum pyenvd_code pyenvd_upload_artifact(struct pyenvd *client, const char *sha256, uint64_t size,
	const struct pyenvd_reader *reader, Pyenvd__V1__UploadArtifactResponse **ret,
	struct pyenvd_error *error)
{
	Pyenvd__V1__UploadArtifactRequest request = PYENVD__V1__UPLOAD_ARTIFACT_REQUEST__INIT;
	Pyenvd__V1__ArtifactHeader header = PYENVD__V1__ARTIFACT_HEADER__INIT;
	ProtobufCMessage *answer;
	enum pyenvd_code code;

	header.sha256 = (char *)sha256;
	header.size_bytes = size;
	request.part_case = PYENVD__V1__UPLOAD_ARTIFACT_REQUEST__PART_HEADER;
	request.header = &header;
	if (!client->piece)
		client->piece = alloc0(1, PIECE_SIZE);
	client->reader = reader;
	code = pyenvd_call(client, "UploadArtifact", &request.base, &answer, error);
	client->reader = NULL;
	if (code == PYENVD_OK)
		*ret = (Pyenvd__V1__UploadArtifactResponse *)(void *)answer;
	return code;
}

enum pyenvd_code pyenvd_call_stream(struct pyenvd *client, const char *method,
	const ProtobufCMessage *request, const struct pyenvd_listener *listener,
	struct pyenvd_error *error)
{
	client->listener = listener;
	call(client, method, request);
	client->listener = NULL;
	if (client->error.code && error)
		*error = client->error;
	return client->error.code;
}
