#pragma once
/*
 * Processes that others depend on: however many depend on one, it is watched once.
 * Loop thread only.
 */
#include "base/list.h"
#include "base/map.h"
#include "daemon/jobs/watch.h"

struct processes_entry;

/* One dependence, embedded in its owner's struct. */
struct processes_member {
	struct list link; /* private to processes.c */
	struct processes_entry *entry; /* the same; NULL: it depends on none */
};

struct processes {
	struct watch *watch; /* borrowed */
	/* The process of this member has ended. It is a member no more, and may be freed. */
	void (*gone)(struct processes_member *member);
	struct map map; /* private to processes.c */
};

enum {
	PROCESSES_E_GONE = 1, /* it has ended already; gone() will not be called */
};

int processes_join(struct processes *processes, const struct process *process,
	struct processes_member *member, struct error *err);
void processes_leave(struct processes_member *member); /* may be called when in none */
void processes_deinit(struct processes *processes); /* without members */
