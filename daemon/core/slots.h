#pragma once
/*
 * Who may install: a bounded number of slots, each with a user of its own where the daemon
 * may act as others. Loop thread only.
 */
#include "daemon/core/core.h"

struct slots;

struct slots *slots_new(struct core *core);
struct slots *slots_free(struct slots *slots); /* nobody has one, nobody waits */

/* Waits for a slot, and has it then. */
struct slots_waiter {
	struct list link; /* slots.waiting */
	struct slots *slots;
	struct slot *slot; /* once it is there */
	/* Once, never from inside slots_wait(). */
	void (*got)(struct slots_waiter *waiter);
	/* After slots_give_back_dirty(): all that ran as its user is dead. */
	void (*cleaned)(struct slots_waiter *waiter);
};

/* Whether there can ever be one: INSTALL_UNAVAILABLE, with what to do about it. */
int slots_check(const struct slots *slots, struct error *err);
void slots_wait(struct slots *slots, struct slots_waiter *waiter);
/* Before got(): it will not come. */
void slots_leave(struct slots_waiter *waiter);
/* Nothing runs there any more. */
void slots_give_back(struct slots_waiter *waiter);
/* Something may: it is ended first; cleaned() tells. */
void slots_give_back_dirty(struct slots_waiter *waiter);

/* NULL: as ourselves. */
const struct identity *slot_user(const struct slot *slot);
/* All uids that a slot may have; borrowed. */
const uid_t *slots_uids(const struct slots *slots, size_t *count);
