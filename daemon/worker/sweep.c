/*
 * Every directory is a node. A thread takes the newest, opens it relative to its parent's
 * descriptor, unlinks what is no directory, and makes the directories in it new nodes.
 * A node is over when it was gone through and all nodes below are: then its directory is
 * removed, and its parent may be over in turn. Newest first, so that what is open is
 * hardly more than one path down the tree for each thread.
 *
 * Somebody's working directory may be deeper than descriptors and patience reach: what
 * lies too deep is moved up to the top, and is not deep any more.
 *
 * Directories in layers are read-only: they are made writable when that shows. One that
 * its owner may not even read is made readable first.
 */
#include "daemon/worker/sweep.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/fs.h"
#include "base/list.h"
#include "daemon/worker/threads.h"

#define MAX_THREADS 16
#define MAX_DEPTH 64
#define ENTRIES_SIZE 32768

struct node {
	struct list link; /* sweep.ready; or, while it is gone through, of children found */
	struct node *parent; /* NULL: a top */
	struct sweep_top *top; /* of a top */
	char *name; /* in the parent's directory; owned */
	int fd; /* -1 until it is opened */
	int depth;
	size_t pending; /* sweep.lock: nodes below, and 1 until it was gone through */
	int r; /* sweep.lock: the first failure in it or below */
	bool is_second_time;
};

struct sweep {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct list ready; /* of node.link; the newest last */
	size_t unfinished; /* tops that are not over */
	size_t idle; /* threads that wait */
	size_t moved; /* makes names */
};

/* One thread's: the directory that it goes through. */
struct visit {
	struct sweep *sweep;
	struct node *node;
	struct list found; /* of node.link */
	bool is_writable; /* made so by us */
	int r;
	char entries[ENTRIES_SIZE];
};

static struct node *node_new(struct node *parent, const char *name)
{
	struct node *node = new0(struct node);

	node->parent = parent;
	node->name = text_copy(name);
	node->fd = -1;
	node->depth = parent ? parent->depth + 1 : 0;
	node->pending = 1;
	return node;
}

static void node_free(struct node *node)
{
	cleanup_close(&node->fd);
	free(node->name);
	free(node);
}

/* ---- one directory */

/* Its owner may; whether that was of any use. */
static bool make_writable(struct visit *visit)
{
	if (visit->is_writable)
		return false;
	visit->is_writable = true;
	return fchmod(visit->node->fd, 0700) == 0;
}

static bool is_denied(int r)
{
	return r == -EACCES || r == -EPERM;
}

static void note(struct visit *visit, int r)
{
	if (r && r != -ENOENT && !visit->r)
		visit->r = r;
}

static int unlink_at(struct visit *visit, const char *name, int flags)
{
	int r = unlinkat(visit->node->fd, name, flags) ? -errno : 0;

	if (is_denied(r) && make_writable(visit))
		r = unlinkat(visit->node->fd, name, flags) ? -errno : 0;
	return r;
}

static void add_found(struct visit *visit, struct node *parent, const char *name)
{
	struct node *node = node_new(parent, name);

	list_add(&visit->found, &node->link);
}

/* Up to the top, where nothing is deep. The top was gone through long ago. */
static int move_up(struct visit *visit, const char *name)
{
	struct node *top = visit->node;
	char to[32];
	int r;

	while (top->parent)
		top = top->parent;
	pthread_mutex_lock(&visit->sweep->lock);
	snprintf(to, sizeof(to), ".moved-%zu", visit->sweep->moved++);
	pthread_mutex_unlock(&visit->sweep->lock);
	fchmodat(visit->node->fd, name, 0700, AT_SYMLINK_NOFOLLOW);
	r = renameat(visit->node->fd, name, top->fd, to) ? -errno : 0;
	if (is_denied(r)) {
		make_writable(visit);
		fchmod(top->fd, 0700);
		r = renameat(visit->node->fd, name, top->fd, to) ? -errno : 0;
	}
	if (r)
		return r;
	pthread_mutex_lock(&visit->sweep->lock);
	top->pending++;
	pthread_mutex_unlock(&visit->sweep->lock);
	add_found(visit, top, to);
	return 0;
}

static void visit_entry(struct visit *visit, const char *name, unsigned char type)
{
	int r = -EISDIR;

	if (type != DT_DIR)
		r = unlink_at(visit, name, 0);
	if (r != -EISDIR)
		note(visit, r);
	else if (visit->node->depth >= MAX_DEPTH)
		note(visit, move_up(visit, name));
	else
		add_found(visit, visit->node, name);
}

static void visit_entries(struct visit *visit)
{
	ssize_t n, at;

	while ((n = getdents64(visit->node->fd, visit->entries, sizeof(visit->entries))) > 0) {
		for (at = 0; at < n;) {
			const struct dirent64 *entry = (const void *)(visit->entries + at);

			at += entry->d_reclen;
			if (!text_equal(entry->d_name, ".") && !text_equal(entry->d_name, ".."))
				visit_entry(visit, entry->d_name, entry->d_type);
		}
	}
	if (n < 0)
		note(visit, -errno);
}

static int open_node(const struct node *node)
{
	int dir = node->parent->fd, fd = fs_open_directory(dir, node->name);

	if (fd == -EACCES && fchmodat(dir, node->name, 0700, AT_SYMLINK_NOFOLLOW) == 0)
		fd = fs_open_directory(dir, node->name);
	return fd;
}

/* ---- all of them */

/* Under the lock. */
static void push(struct sweep *sweep, struct node *node)
{
	list_add(&sweep->ready, &node->link);
	if (sweep->idle)
		pthread_cond_signal(&sweep->changed);
}

/* A directory that is empty now; 1: it was not, and is gone through once more. */
static int remove_node(struct node *node)
{
	int dir = node->parent->fd;
	int r = unlinkat(dir, node->name, AT_REMOVEDIR) ? -errno : 0;

	if (is_denied(r) && fchmod(dir, 0700) == 0)
		r = unlinkat(dir, node->name, AT_REMOVEDIR) ? -errno : 0;
	/* Some file systems leave out entries while others are removed. */
	if (r == -ENOTEMPTY && !node->r && !node->is_second_time)
		return 1;
	return r == -ENOENT ? 0 : r;
}

static void finish_top(struct sweep *sweep, struct node *node)
{
	node->top->done(node->top, node->r);
	node_free(node);
	pthread_mutex_lock(&sweep->lock);
	if (--sweep->unfinished == 0)
		pthread_cond_broadcast(&sweep->changed);
	pthread_mutex_unlock(&sweep->lock);
}

/* One less to wait for in @node; and so on upwards. */
static void settle(struct sweep *sweep, struct node *node, int r)
{
	bool is_over;

	while (true) {
		struct node *parent = node->parent;

		pthread_mutex_lock(&sweep->lock);
		node->r = node->r ? node->r : r;
		is_over = --node->pending == 0;
		pthread_mutex_unlock(&sweep->lock);
		if (!is_over)
			return;
		if (!parent) {
			finish_top(sweep, node);
			return;
		}
		r = remove_node(node);
		if (r > 0) {
			node->is_second_time = true;
			node->pending = 1;
			pthread_mutex_lock(&sweep->lock);
			push(sweep, node);
			pthread_mutex_unlock(&sweep->lock);
			return;
		}
		r = node->r ? node->r : r;
		node_free(node);
		node = parent;
	}
}

static void visit_node(struct sweep *sweep, struct visit *visit, struct node *node)
{
	struct list *link;

	visit->node = node;
	visit->is_writable = false;
	visit->r = 0;
	list_init(&visit->found);
	if (node->fd >= 0)
		lseek(node->fd, 0, SEEK_SET);
	else
		node->fd = node->top ? node->top->open(node->top) : open_node(node);
	if (node->fd < 0)
		note(visit, node->fd);
	else
		visit_entries(visit);
	pthread_mutex_lock(&sweep->lock);
	while ((link = list_pop(&visit->found))) {
		struct node *below = container_of(link, struct node, link);

		if (below->parent == node)
			node->pending++;
		push(sweep, below);
	}
	pthread_mutex_unlock(&sweep->lock);
	settle(sweep, node, visit->r);
}

static void *work(void *data)
{
	struct sweep *sweep = data;
	struct visit *visit = new0(struct visit);

	visit->sweep = sweep;
	pthread_mutex_lock(&sweep->lock);
	while (sweep->unfinished) {
		struct list *last = sweep->ready.prev;

		if (list_is_empty(&sweep->ready)) {
			sweep->idle++;
			pthread_cond_wait(&sweep->changed, &sweep->lock);
			sweep->idle--;
			continue;
		}
		list_remove(last);
		pthread_mutex_unlock(&sweep->lock);
		visit_node(sweep, visit, container_of(last, struct node, link));
		pthread_mutex_lock(&sweep->lock);
	}
	pthread_mutex_unlock(&sweep->lock);
	free(visit);
	return NULL;
}

void sweep_run(struct sweep_top *const *tops, size_t count, uint32_t threads)
{
	struct sweep sweep = { .unfinished = count };
	size_t i;

	pthread_mutex_init(&sweep.lock, NULL);
	pthread_cond_init(&sweep.changed, NULL);
	list_init(&sweep.ready);
	for (i = 0; i < count; i++) {
		struct node *node = node_new(NULL, "");

		node->top = tops[count - 1 - i];
		list_add(&sweep.ready, &node->link);
	}
	threads_run(threads < MAX_THREADS ? threads : MAX_THREADS, work, &sweep);
	pthread_mutex_destroy(&sweep.lock);
	pthread_cond_destroy(&sweep.changed);
}
