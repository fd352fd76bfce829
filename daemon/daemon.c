/*
 * Every constructor, lowest floor first; the destructor is the same backwards.
 *
 * The end comes in steps: a signal begins to drain (no new connections and calls,
 * holds are told to come again); when nothing is in flight, or the time for that is
 * over, or a second signal says so, the sessions are closed, which abandons what they
 * waited for; when the workers have ended as well, the loop does.
 */
#include "daemon/daemon.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>
#include "base/fs.h"
#include "daemon/api/listener.h"
#include "daemon/api/services.h"
#include "daemon/core/manager.h"
#include "daemon/jobs/orphans.h"
#include "daemon/notify.h"
#include "daemon/privilege.h"

#define DRAIN_SECONDS 20
#define TICK_MS 20

struct daemon {
	struct privilege privilege;
	struct event_base *base;
	struct pool *pool;
	struct watch *watch;
	struct db *db;
	struct tree *tree;
	struct core core;
	struct manager *manager;
	struct api api;
	struct listener *listener;
	struct event *on_term, *on_int, *on_drain_over, *on_tick;
	bool is_draining, is_closing;
};

/* ---- building */

static void on_index_pages(int pages, void *data)
{
	struct daemon *daemon = data;

	if (daemon->manager)
		manager_on_index_pages(daemon->manager, pages);
}

static int read_boot_id(char ret[37], struct error *err)
{
	_cleanup_buffer_ struct buffer text = { 0 };
	int r;

	r = fs_read_file(AT_FDCWD, "/proc/sys/kernel/random/boot_id", 64, &text);
	if (r || text.size < 36)
		return fail_errno(err, r ? r : -EBADMSG, NULL, "cannot read the boot id");
	memcpy(ret, text.data, 36);
	return 0;
}

/* Made once for each state directory. */
static int read_salt(struct db *db, char ret[33], struct error *err)
{
	int r;

	r = db_get_setting(db, "salt", ret, 33, err);
	if (r != DB_E_NOT_FOUND)
		return r;
	random_id(ret, 32);
	return db_put_setting(db, "salt", ret, err);
}

static int open_store(struct daemon *daemon, const struct config *config, struct error *err)
{
	_cleanup_free_ char *path = NULL;
	int r;

	r = tree_open(config->state_dir, &daemon->tree, err);
	if (r == TREE_E_LOCKED)
		return -EBUSY;
	if (r)
		return r;
	path = text_format("%s/index.db", tree_path(daemon->tree));
	r = db_open(path, on_index_pages, daemon, &daemon->db, err);
	if (r == -ENOSPC && tree_spend_reserve(daemon->tree))
		r = db_open(path, on_index_pages, daemon, &daemon->db, err);
	if (r == DB_E_TOO_NEW)
		return -EPROTO;
	return r;
}

static int build_core(struct daemon *daemon, const struct config *config, struct error *err)
{
	struct core_install *install = &daemon->core.config.install;
	struct pool_config pool = {
		.program = config->worker_program,
		.heavy = config->workers,
		.light = 16,
		.receive = 64,
		.queue = 65536,
		.open_timeout_ms = config->open_timeout_ms,
	};
	int r;

	daemon->pool = pool_new(daemon->base, &pool);
	daemon->watch = watch_new(daemon->base);
	r = open_store(daemon, config, err);
	if (r)
		return r;
	daemon->core = (struct core){
		.db = daemon->db,
		.tree = daemon->tree,
		.pool = daemon->pool,
		.watch = daemon->watch,
		.config = config->core,
	};
	install->users = daemon->privilege.install_users;
	install->user_count = daemon->privilege.install_user_count;
	install->needs_users = identity_may_change();
	if (!install->needs_users)
		orphans_adopt();
	r = read_boot_id(daemon->core.boot_id, err);
	if (r == 0)
		r = read_salt(daemon->db, daemon->core.salt, err);
	return r ? r : manager_new(&daemon->core, &daemon->manager, err);
}

static int build_listener(
	struct daemon *daemon, const struct config *config, int activated_fd, struct error *err)
{
	const struct privilege *privilege = &daemon->privilege;
	struct listener_config listener = {
		.base = daemon->base,
		.api = &daemon->api,
		.path = config->socket,
		.activated_fd = activated_fd,
		.socket_group = privilege->socket_group,
		.socket_mode = privilege->socket_mode,
		.admin_group = privilege->admin_group,
		.max_connections = config->max_connections,
		.max_streams = config->max_streams,
		.idle_timeout_ms = config->idle_timeout_ms,
	};
	int r;

	daemon->api.manager = daemon->manager;
	list_init(&daemon->api.holds);
	r = listener_open(&listener, &daemon->listener, err);
	return r == LISTENER_E_ALIVE ? -EADDRINUSE : r;
}

/* ---- the end */

/* What is in flight is waited for by looking, not by being told: it happens once in
 * a daemon's life, and what it waits for is many things. */
static void on_tick(evutil_socket_t fd, short what, void *data)
{
	struct daemon *daemon = data;
	struct timeval again = { .tv_usec = TICK_MS * 1000 };

	if (!daemon->is_closing && listener_count_sessions(daemon->listener) == 0)
		daemon->is_closing = true;
	if (daemon->is_closing) {
		listener_close(daemon->listener);
		daemon->listener = NULL;
		if (manager_is_idle(daemon->manager)) {
			event_base_loopbreak(daemon->base);
			return;
		}
	}
	event_add(daemon->on_tick, &again);
}

static void on_drain_over(evutil_socket_t fd, short what, void *data)
{
	struct timeval again = { .tv_sec = DRAIN_SECONDS };
	struct daemon *daemon = data;

	if (daemon->is_closing) {
		/* A worker that does not end, even killed: it is stuck in the kernel. What
		 * it leaves is recovered at the next start. */
		log_warning("stopped", "text='some workers did not end in time'");
		_exit(EXIT_FAILURE);
	}
	daemon->is_closing = true;
	event_add(daemon->on_drain_over, &again);
}

static void on_signal(evutil_socket_t signal, short what, void *data)
{
	struct timeval limit = { .tv_sec = DRAIN_SECONDS }, now = { 0 };
	struct daemon *daemon = data;

	log_info("stopping", "signal=%s", signal == SIGTERM ? "TERM" : "INT");
	if (daemon->is_draining) {
		daemon->is_closing = true;
		return;
	}
	daemon->is_draining = daemon->api.is_draining = true;
	notify_stopping();
	manager_drain(daemon->manager);
	environments_end_holds(&daemon->api);
	listener_drain(daemon->listener);
	event_add(daemon->on_drain_over, &limit);
	event_add(daemon->on_tick, &now);
}

/* ---- life */

static void raise_file_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit))
		return;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
}

int daemon_new(const struct config *config, struct daemon **ret, struct error *err)
{
	_cleanup_(daemon_freep) struct daemon *daemon = new0(struct daemon);
	int activated_fd, r;

	umask(022);
	signal(SIGPIPE, SIG_IGN);
	raise_file_limit();
	activated_fd = notify_take_socket(err);
	if (activated_fd < -1)
		return activated_fd;
	r = privilege_drop(config, &daemon->privilege, err);
	if (r)
		return r;
	daemon->base = event_base_new();
	if (!daemon->base)
		return fail(err, -ENOMEM, NULL, "cannot make an event loop");
	r = build_core(daemon, config, err);
	if (r == 0)
		r = build_listener(daemon, config, activated_fd, err);
	if (r)
		return r;
	daemon->on_term = evsignal_new(daemon->base, SIGTERM, on_signal, daemon);
	daemon->on_int = evsignal_new(daemon->base, SIGINT, on_signal, daemon);
	daemon->on_drain_over = event_new(daemon->base, -1, 0, on_drain_over, daemon);
	daemon->on_tick = event_new(daemon->base, -1, 0, on_tick, daemon);
	event_add(daemon->on_term, NULL);
	event_add(daemon->on_int, NULL);
	log_info("listening", "socket=%s state=%s pid=%d", config->socket, config->state_dir,
		(int)getpid());
	*ret = STEAL(daemon);
	return 0;
}

static void free_event(struct event *event)
{
	if (event)
		event_free(event);
}

struct daemon *daemon_free(struct daemon *daemon)
{
	if (!daemon)
		return NULL;
	listener_close(daemon->listener);
	manager_free(daemon->manager);
	db_close(daemon->db);
	tree_close(daemon->tree);
	watch_free(daemon->watch);
	pool_free(daemon->pool);
	free_event(daemon->on_term);
	free_event(daemon->on_int);
	free_event(daemon->on_drain_over);
	free_event(daemon->on_tick);
	if (daemon->base)
		event_base_free(daemon->base);
	privilege_deinit(&daemon->privilege);
	free(daemon);
	return NULL;
}

int daemon_run(struct daemon *daemon, struct error *err)
{
	listener_start(daemon->listener);
	notify_ready();
	if (event_base_dispatch(daemon->base) < 0)
		return fail(err, -EIO, NULL, "the event loop failed");
	log_info("stopped", "pid=%d", (int)getpid());
	return 0;
}
