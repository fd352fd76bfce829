/*
 * Whether somebody listens on a socket file is found out by connecting to it. Between
 * that and replacing it another daemon could do the same, so both happen under a
 * lock, <socket>.lock, which is held as long as the daemon lives.
 *
 * When there are too many connections, one more is accepted and closed: a client that
 * is told so at once is better off than one that waits in the queue for ever.
 */
#include "daemon/api/listener.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include "base/log.h"
#include "daemon/api/services.h"

#define BACKLOG 512
#define MAX_ACCEPTS_A_TURN 64

struct listener {
	struct listener_config config;
	struct session_config session;
	char *path, *lock_path;
	int fd, lock_fd;
	bool is_ours; /* the socket file */
	struct event *on_accept;
	struct list sessions; /* of session_link() */
	size_t count;
};

/* ---- the socket */

static int fill_address(const char *path, struct sockaddr_un *ret, struct error *err)
{
	*ret = (struct sockaddr_un){ .sun_family = AF_UNIX };
	if (strlen(path) >= sizeof(ret->sun_path))
		return fail(err, -ENAMETOOLONG, NULL,
			"the socket's path '%s' is longer than %zu bytes", path,
			sizeof(ret->sun_path) - 1);
	memcpy(ret->sun_path, path, strlen(path) + 1);
	return 0;
}

static int take_lock(struct listener *listener, struct error *err)
{
	listener->lock_path = text_format("%s.lock", listener->path);
	listener->lock_fd = open(
		listener->lock_path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (listener->lock_fd < 0)
		return fail_errno(err, -errno, NULL, "cannot open '%s' as uid %u",
			listener->lock_path, (unsigned)geteuid());
	if (flock(listener->lock_fd, LOCK_EX | LOCK_NB) == 0)
		return 0;
	if (errno != EWOULDBLOCK)
		return fail_errno(err, -errno, NULL, "cannot lock '%s'", listener->lock_path);
	fail(err, -EADDRINUSE, NULL, "another daemon listens on '%s'", listener->path);
	return LISTENER_E_ALIVE;
}

static int replace_stale(const struct sockaddr_un *address, struct error *err)
{
	_cleanup_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct stat st;

	if (lstat(address->sun_path, &st))
		return errno == ENOENT
			? 0
			: fail_errno(err, -errno, NULL, "cannot look at '%s'", address->sun_path);
	if (!S_ISSOCK(st.st_mode))
		return fail(
			err, -EEXIST, NULL, "'%s' is there and is no socket", address->sun_path);
	if (fd < 0)
		return fail_errno(err, -errno, NULL, "cannot make a socket");
	if (connect(fd, (const struct sockaddr *)address, sizeof(*address)) == 0 ||
		errno == EAGAIN) {
		fail(err, -EADDRINUSE, NULL, "somebody listens on '%s' already", address->sun_path);
		return LISTENER_E_ALIVE;
	}
	if (errno != ECONNREFUSED)
		return fail_errno(err, -errno, NULL, "cannot tell whether somebody listens on '%s'",
			address->sun_path);
	if (unlink(address->sun_path))
		return fail_errno(err, -errno, NULL, "cannot replace the dead socket '%s'",
			address->sun_path);
	return 0;
}

static int make_socket(struct listener *listener, struct error *err)
{
	const struct listener_config *config = &listener->config;
	struct sockaddr_un address;
	int r;

	r = fill_address(listener->path, &address, err);
	if (r == 0)
		r = take_lock(listener, err);
	if (r == 0)
		r = replace_stale(&address, err);
	if (r)
		return r;
	listener->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (listener->fd < 0)
		return fail_errno(err, -errno, NULL, "cannot make a socket");
	if (bind(listener->fd, (struct sockaddr *)&address, sizeof(address)))
		return fail_errno(err, -errno, NULL, "cannot bind '%s'", listener->path);
	listener->is_ours = true;
	/* Nobody can connect before listen(). */
	if ((config->socket_group != (gid_t)-1 &&
		    chown(listener->path, (uid_t)-1, config->socket_group)) ||
		chmod(listener->path, config->socket_mode))
		return fail_errno(
			err, -errno, NULL, "cannot set the access of '%s'", listener->path);
	if (listen(listener->fd, BACKLOG))
		return fail_errno(err, -errno, NULL, "cannot listen on '%s'", listener->path);
	return 0;
}

/* ---- who connects */

static int read_groups(int fd, struct identity *identity)
{
	socklen_t size = 0;

	if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, NULL, &size) && errno != ERANGE)
		return -errno;
	identity->groups = alloc0(1, size);
	if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, identity->groups, &size))
		return -errno;
	identity->group_count = size / sizeof(gid_t);
	return 0;
}

static bool is_member(const struct identity *identity, gid_t group)
{
	size_t i;

	for (i = 0; i < identity->group_count; i++)
		if (identity->groups[i] == group)
			return true;
	return identity->gid == group;
}

static int identify(const struct listener *listener, int fd, struct peer *peer)
{
	gid_t admins = listener->config.admin_group;
	struct ucred credentials;
	socklen_t size = sizeof(credentials);
	int r;

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &size))
		return -errno;
	/* A uid without a name in our user namespace is nobody's. */
	if (credentials.uid == (uid_t)-1)
		return -EPERM;
	peer->identity = (struct identity){ .uid = credentials.uid, .gid = credentials.gid };
	r = read_groups(fd, &peer->identity);
	if (r)
		return r;
	peer->is_admin = credentials.uid == 0 || credentials.uid == geteuid() ||
		(admins != (gid_t)-1 && is_member(&peer->identity, admins));
	manager_admit(listener->config.api->manager, peer, credentials.pid);
	return 0;
}

static char *find_refusal(const struct peer *peer)
{
	if (peer->identity.uid == geteuid() || identity_may_change())
		return NULL;
	return text_format("this daemon runs as uid %d without the right to act for others, and "
			   "serves only that user, not uid %d",
		(int)geteuid(), (int)peer->identity.uid);
}

static void on_session_ended(struct session *session, void *data)
{
	struct listener *listener = data;

	list_remove(session_link(session));
	listener->count--;
	session_free(session);
}

static void admit(struct listener *listener, int fd)
{
	_cleanup_free_ char *refusal = NULL;
	struct peer peer = { 0 };
	struct session *session;
	int r;

	if (listener->count >= listener->config.max_connections) {
		log_warning(
			"connection-refused", "reason=TOO_MANY connections=%zu", listener->count);
		close(fd);
		return;
	}
	r = identify(listener, fd, &peer);
	if (r) {
		log_warning("connection-refused", "text='%s'", strerror(-r));
		identity_deinit(&peer.identity);
		close(fd);
		return;
	}
	log_debug("connected", "uid=%d pid=%d", (int)peer.identity.uid, (int)peer.process.pid);
	refusal = find_refusal(&peer);
	session = session_new(&listener->session, fd, &peer, refusal);
	list_add(&listener->sessions, session_link(session));
	listener->count++;
}

static void on_accept(evutil_socket_t fd, short what, void *data)
{
	struct listener *listener = data;
	int i, client;

	for (i = 0; i < MAX_ACCEPTS_A_TURN; i++) {
		client = accept4(listener->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
		if (client < 0)
			return;
		admit(listener, client);
	}
}

/* ---- life */

int listener_open(const struct listener_config *config, struct listener **ret, struct error *err)
{
	_cleanup_(listener_closep) struct listener *listener = new0(struct listener);
	int r;

	listener->config = *config;
	listener->path = text_copy(config->path);
	listener->fd = config->activated_fd;
	listener->lock_fd = -1;
	list_init(&listener->sessions);
	listener->session = (struct session_config){
		.base = config->base,
		.api = config->api,
		.services = services_all,
		.max_streams = config->max_streams,
		.idle_timeout_ms = config->idle_timeout_ms,
		.ended = on_session_ended,
		.data = listener,
	};
	if (listener->fd < 0) {
		r = make_socket(listener, err);
		if (r)
			return r;
	}
	listener->on_accept = event_new(
		config->base, listener->fd, EV_READ | EV_PERSIST, on_accept, listener);
	*ret = STEAL(listener);
	return 0;
}

void listener_start(struct listener *listener)
{
	event_add(listener->on_accept, NULL);
}

/* Whoever connects to our own socket from now on is refused at once, rather than left
 * waiting; on a socket of systemd's the next daemon will answer. */
static void stop_listening(struct listener *listener)
{
	if (listener->on_accept)
		event_free(listener->on_accept);
	listener->on_accept = NULL;
	cleanup_close(&listener->fd);
	listener->fd = -1;
	if (listener->is_ours)
		unlink(listener->path);
}

void listener_drain(struct listener *listener)
{
	stop_listening(listener);
	list_for_each (link, &listener->sessions)
		session_drain(session_of_link(link));
}

size_t listener_count_sessions(const struct listener *listener)
{
	return listener->count;
}

struct listener *listener_close(struct listener *listener)
{
	struct list *link;

	if (!listener)
		return NULL;
	while ((link = list_pop(&listener->sessions)))
		session_free(session_of_link(link));
	stop_listening(listener);
	if (listener->lock_fd >= 0) {
		/* Whoever waits for it opens it anew. */
		if (listener->is_ours)
			unlink(listener->lock_path);
		close(listener->lock_fd);
	}
	free(listener->lock_path);
	free(listener->path);
	free(listener);
	return NULL;
}
