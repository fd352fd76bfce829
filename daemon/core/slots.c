/*
 *	         slots_wait           got()
 *	CLEAN -----------------------------> TAKEN
 *	  ^                                    |  give_back: what ran there has ended by itself
 *	  +------------------------------------+
 *	  |                                    |  give_back_dirty: its worker was killed or died
 *	  |  cleaned()                         v
 *	  +------------- a job that ends all of its user: CLEANING
 *
 * A slot begins DIRTY: what the last daemon's workers have started may still run. It is
 * cleaned when the daemon starts, and again before an install if that failed.
 *
 * Where there are no users to become (an ordinary user's daemon), what a dead worker leaves
 * behind cannot be told from the user's other processes: then the daemon is a subreaper,
 * and ends what it adopts (pool.c).
 */
#include "daemon/core/slots.h"

#include <assert.h>
#include <errno.h>
#include "base/log.h"

#define RETRY_MS 1000
#define AGAIN_MS 10

enum slot_state {
	SLOT_DIRTY,
	SLOT_CLEANING,
	SLOT_CLEAN,
	SLOT_TAKEN,
};

struct slot {
	struct slots *slots;
	enum slot_state state;
	const struct identity *user; /* borrowed; NULL: we */
	struct slots_waiter *owner; /* who waits for its cleaning */
	struct job job;
	struct timer again;
};

struct slots {
	struct core *core;
	struct slot *rows; /* owned */
	uid_t *uids; /* owned */
	size_t count, uid_count;
	struct list waiting; /* of slots_waiter.link */
	struct timer soon;
};

static void clean(struct slot *slot);

const struct identity *slot_user(const struct slot *slot)
{
	return slot->user;
}

const uid_t *slots_uids(const struct slots *slots, size_t *count)
{
	*count = slots->uid_count;
	return slots->uids;
}

int slots_check(const struct slots *slots, struct error *err)
{
	if (slots->count)
		return 0;
	return fail(err, -EBUSY, "INSTALL_UNAVAILABLE",
		"requirements cannot be installed: the daemon has no user to install them as; make "
		"users and name them with install_users (systemd-sysusers does it)");
}

/* ---- handing out */

static struct slot *find(struct slots *slots, enum slot_state state)
{
	size_t i;

	for (i = 0; i < slots->count; i++)
		if (slots->rows[i].state == state)
			return &slots->rows[i];
	return NULL;
}

static void hand_out(struct slots *slots)
{
	struct slot *slot;

	while (!list_is_empty(&slots->waiting) && (slot = find(slots, SLOT_CLEAN))) {
		struct slots_waiter *waiter = container_of(
			list_pop(&slots->waiting), struct slots_waiter, link);

		slot->state = SLOT_TAKEN;
		waiter->slot = slot;
		waiter->got(waiter);
	}
	if (!list_is_empty(&slots->waiting) && (slot = find(slots, SLOT_DIRTY)))
		clean(slot);
}

static void on_soon(struct timer *timer)
{
	hand_out(container_of(timer, struct slots, soon));
}

static void hand_out_soon(struct slots *slots, uint64_t ms)
{
	timer_set(slots->core->watch, &slots->soon, ms);
}

/* ---- cleaning */

static void cleaned(struct slot *slot)
{
	struct slots_waiter *owner = STEAL(slot->owner);

	if (owner && owner->cleaned)
		owner->cleaned(owner);
}

static void on_cleaned(
	struct job *job, int r, const struct job_result *result, const struct error *err)
{
	struct slot *slot = container_of(job, struct slot, job);

	slot->state = r ? SLOT_DIRTY : SLOT_CLEAN;
	if (r)
		log_warning("slot-dirty", "uid=%d text='%s'", (int)slot->user->uid,
			LOG_TEXT(err->text));
	hand_out_soon(slot->slots, r ? RETRY_MS : 0);
	cleaned(slot);
}

/* Without a user of its own. */
static void end_orphans(struct slot *slot)
{
	if (!pool_end_orphans(slot->slots->core->pool)) {
		timer_set(slot->slots->core->watch, &slot->again, AGAIN_MS);
		return;
	}
	slot->state = SLOT_CLEAN;
	hand_out_soon(slot->slots, 0);
	cleaned(slot);
}

static void on_again(struct timer *timer)
{
	struct slot *slot = container_of(timer, struct slot, again);

	if (!slot->user)
		end_orphans(slot);
	else if (slot->state == SLOT_DIRTY)
		clean(slot);
}

static void clean(struct slot *slot)
{
	struct error err = { 0 };

	slot->state = SLOT_CLEANING;
	if (!slot->user) {
		end_orphans(slot);
		return;
	}
	slot->job = (struct job){
		.kind = JOB_END_USER,
		.user = slot->user,
		.done = on_cleaned,
	};
	if (pool_submit(slot->slots->core->pool, &slot->job, &err))
		on_cleaned(&slot->job, err.r, NULL, &err);
}

/* ---- the rest */

void slots_wait(struct slots *slots, struct slots_waiter *waiter)
{
	waiter->slots = slots;
	waiter->slot = NULL;
	list_add(&slots->waiting, &waiter->link);
	hand_out_soon(slots, 0);
}

void slots_leave(struct slots_waiter *waiter)
{
	assert(!waiter->slot);
	list_remove(&waiter->link);
}

void slots_give_back(struct slots_waiter *waiter)
{
	struct slot *slot = STEAL(waiter->slot);

	slot->state = SLOT_CLEAN;
	hand_out_soon(slot->slots, 0);
}

void slots_give_back_dirty(struct slots_waiter *waiter)
{
	struct slot *slot = STEAL(waiter->slot);

	slot->owner = waiter;
	clean(slot);
}

struct slots *slots_new(struct core *core)
{
	const struct core_install *config = &core->config.install;
	struct slots *slots = new0(struct slots);
	size_t i;

	slots->core = core;
	slots->soon.fired = on_soon;
	list_init(&slots->waiting);
	slots->uids = new0_array(uid_t, config->user_count);
	for (i = 0; i < config->user_count; i++)
		slots->uids[slots->uid_count++] = config->users[i].uid;
	slots->count = config->needs_users ? config->user_count : config->slots;
	if (slots->count > config->slots)
		slots->count = config->slots;
	slots->rows = new0_array(struct slot, slots->count);
	for (i = 0; i < slots->count; i++)
		slots->rows[i] = (struct slot){
			.slots = slots,
			.user = config->needs_users ? &config->users[i] : NULL,
			.again = { .fired = on_again },
		};
	for (i = 0; i < slots->count && config->needs_users; i++)
		timer_set(core->watch, &slots->rows[i].again, 0);
	return slots;
}

struct slots *slots_free(struct slots *slots)
{
	size_t i;

	if (!slots)
		return NULL;
	timer_clear(&slots->soon);
	for (i = 0; i < slots->count; i++)
		timer_clear(&slots->rows[i].again);
	free(slots->rows);
	free(slots->uids);
	free(slots);
	return NULL;
}
