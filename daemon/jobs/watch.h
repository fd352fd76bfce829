#pragma once
/*
 * Processes that are waited for until they end (pidfds), timers, and descriptors that
 * are waited for until they can be written. All are
 * embedded in their owner's struct; callbacks come on the loop, never from
 * inside a call of this file. Loop thread only.
 */
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include "base/error.h"
#include "proto/process.h"

struct event;
struct event_base;
struct watch;

struct watch *watch_new(struct event_base *base);
struct watch *watch_free(struct watch *watch);
DEFINE_CLEANUP(struct watch *, watch_free);

enum {
	WATCH_E_GONE = 1, /* it has ended, or was never there */
	WATCH_E_FOREIGN, /* it is another user's */
	WATCH_E_NESTED, /* it lives in a pid namespace of its own */
};

/* Who is @pid now, if it is a process of @uid. A descriptor of it (pidfd) when
 * @ret_pidfd is not NULL. WATCH_E_GONE, WATCH_E_FOREIGN. */
int process_find(pid_t pid, uid_t uid, struct process *ret, int *ret_pidfd, struct error *err);
/* Whether its pid means the same to it as to us: WATCH_E_NESTED if not. */
int process_check_namespace(pid_t pid);
/* Which of @pid and its ancestors has the number @inner in the pid namespace where @pid
 * lives. WATCH_E_GONE: none that lives there as well. */
int process_find_ancestor(pid_t pid, pid_t inner, pid_t *ret);

struct watch_process {
	struct process process;
	/* Once, when it has ended. The watch is over by then. */
	void (*gone)(struct watch_process *watched);
	/* private to watch.c */
	int pidfd; /* owned */
	struct event *event;
};

/* Begins to watch the process that @watched->process names. WATCH_E_GONE: it has
 * ended, gone() will not be called. */
int watch_process_start(struct watch *watch, struct watch_process *watched, struct error *err);
void watch_process_stop(struct watch_process *watched); /* may be called when not watching */

struct timer {
	void (*fired)(struct timer *timer);
	/* private to watch.c */
	struct event *event;
};

/* Fires once, @ms from now; set again, it starts anew. */
void timer_set(struct watch *watch, struct timer *timer, uint64_t ms);
void timer_clear(struct timer *timer); /* may be called when not set */
bool timer_is_set(const struct timer *timer);

struct watch_writable {
	/* Once; the watch is over by then. */
	void (*ready)(struct watch_writable *watched);
	/* private to watch.c */
	struct event *event;
};

/* @fd takes bytes, or never will. Not while it is being watched. */
void watch_writable_start(struct watch *watch, struct watch_writable *watched, int fd);
void watch_writable_stop(struct watch_writable *watched); /* may be called when not watching */
