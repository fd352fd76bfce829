#pragma once
/*
 * One call, as the handlers of the services see it. A handler answers inside
 * handle(), or keeps the rpc and answers later; `closed` comes last in any case.
 * Loop thread only.
 */
#include <protobuf-c/protobuf-c.h>
#include "daemon/core/manager.h"

struct grpc_call;
struct rpc;
struct session;

/* What all handlers work with; borrowed. */
struct api {
	struct manager *manager;
	struct list holds; /* of HoldLease calls: environments.c */
	bool is_draining;
};

struct rpc_method {
	const char *path; /* "/package.Service/Method" */
	const ProtobufCMessageDescriptor *request;
	bool is_stream; /* the client may send any number of messages */
	/* For each message. The request is valid until it returns. */
	void (*handle)(struct rpc *rpc, const ProtobufCMessage *request);
	/* Of a stream: the client has sent its last message. NULL: that ends the call. */
	void (*half_close)(struct rpc *rpc);
};

/* One gRPC service. */
struct rpc_service {
	const char *name; /* "package.Service" */
	const struct rpc_method *methods;
	size_t method_count;
};

struct rpc {
	struct api *api;
	const struct peer *peer; /* borrowed from the session */
	const struct rpc_method *method;
	/* The handler's, set in handle(). */
	void *state;
	/* Nobody waits for the answer any more (the deadline passed): stop the work. An
	 * answer is not wanted. May be NULL. */
	void (*expired)(struct rpc *rpc);
	/* Last; the rpc is gone afterwards. @delivered: the answer is with the kernel,
	 * to the end. May be NULL. */
	void (*closed)(struct rpc *rpc, bool delivered);
	/* private to session.c */
	struct grpc_call *call;
	struct session *session;
	struct event *deadline;
	bool is_answered;
};

/* A message of a server stream. */
void rpc_send(struct rpc *rpc, const ProtobufCMessage *message);
/* The message, and OK. */
void rpc_reply(struct rpc *rpc, const ProtobufCMessage *message);
/* OK, for streams. */
void rpc_end(struct rpc *rpc);
/* The error's status, words and reason. */
void rpc_fail(struct rpc *rpc, const struct error *err);
/* The same; @source, if there is one, is the input that is to blame. */
void rpc_fail_about(struct rpc *rpc, const struct error *err, const char *source);
/* While held, the client soon has to stop sending. */
void rpc_hold(struct rpc *rpc, bool is_held);
