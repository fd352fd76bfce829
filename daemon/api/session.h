#pragma once
/*
 * One client: its socket, its gRPC connection, its calls. Loop thread only.
 */
#include "daemon/api/rpc.h"

struct event_base;
struct session;

struct session_config {
	struct event_base *base;
	struct api *api;
	const struct rpc_service *const *services; /* NULL-terminated */
	uint32_t max_streams, idle_timeout_ms;
	/* The session is over, and may be freed; called from the loop, by nobody's
	 * call. */
	void (*ended)(struct session *session, void *data);
	void *data;
};

/* Takes @fd and @peer's content. @refusal: why every call of this peer is refused
 * (PERMISSION_DENIED), or NULL; copied. The config is borrowed. */
struct session *session_new(
	const struct session_config *config, int fd, struct peer *peer, const char *refusal);
/* Every call of it is told that it is over. Not from inside a handler. */
struct session *session_free(struct session *session);

/* No new calls; the session ends after the last. */
void session_drain(struct session *session);

struct list *session_link(struct session *session); /* for the owner's list */
struct session *session_of_link(struct list *link);
