#pragma once
/*
 * The socket that clients connect to, and all sessions. Loop thread only.
 */
#include "daemon/api/session.h"

struct listener;

struct listener_config {
	struct event_base *base;
	struct api *api;
	const char *path; /* of the socket; borrowed */
	int activated_fd; /* from systemd, already listening; -1: make one */
	gid_t socket_group; /* (gid_t)-1: leave it */
	mode_t socket_mode;
	gid_t admin_group; /* (gid_t)-1: none */
	uint32_t max_connections, max_streams, idle_timeout_ms;
};

enum {
	LISTENER_E_ALIVE = 1, /* another daemon listens there */
};

/* Makes the socket; nobody is accepted yet. A socket file that nobody listens on is
 * replaced, one that somebody listens on never. */
int listener_open(const struct listener_config *config, struct listener **ret, struct error *err);
/* All sessions end. The socket file is removed if we made it. */
struct listener *listener_close(struct listener *listener);
DEFINE_CLEANUP(struct listener *, listener_close);

void listener_start(struct listener *listener);
/* No new connections, no new calls on the old ones. */
void listener_drain(struct listener *listener);
size_t listener_count_sessions(const struct listener *listener);
