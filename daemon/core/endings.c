/*
 * The same as the janitor does with directories: what is to be ended waits in a list, and a
 * batch takes all that are one user's. It is one job, and there is at most one for each user:
 * so a TaskManager's workers get their grace time together, and a user whose processes do not
 * listen keeps nobody waiting but himself. Whoever misses a batch waits for its end, which is
 * why the grace time is half of what may pass.
 */
#include "daemon/core/endings.h"

#include "base/log.h"

#define FULL_MS 100 /* until the pool is asked again */
#define RETRY_MS 30000

struct batch {
	struct list link; /* endings.batches */
	struct endings *endings;
	struct list items; /* of ending.link */
	struct identity owner;
	struct process processes[JOB_MAX_PROCESSES];
	struct job job;
};

struct endings {
	struct core *core;
	struct list waiting, failed; /* of ending.link */
	struct list batches; /* of batch.link */
	struct timer soon, again;
};

static bool is_busy(const struct endings *endings, uid_t uid)
{
	list_for_each (link, &endings->batches)
		if (container_of(link, struct batch, link)->owner.uid == uid)
			return true;
	return false;
}

static struct ending *find_startable(const struct endings *endings)
{
	list_for_each (link, &endings->waiting) {
		struct ending *ending = container_of(link, struct ending, link);

		if (!is_busy(endings, ending->uid))
			return ending;
	}
	return NULL;
}

static void conclude(struct endings *endings, struct ending *ending, int r, const struct error *err)
{
	if (r)
		log_warning("holder-not-ended", "lease=%s holder=%d uid=%d text='%s'",
			ending->lease, (int)ending->process.pid, (int)ending->uid,
			LOG_TEXT(err->text));
	if (ending->ended)
		ending->ended(ending, r, err);
	else if (r)
		list_add(&endings->failed, &ending->link);
}

static void on_done(
	struct job *job, int r, const struct job_result *result, const struct error *err)
{
	struct batch *batch = container_of(job, struct batch, job);
	struct endings *endings = batch->endings;
	struct list *link;

	while ((link = list_pop(&batch->items)))
		conclude(endings, container_of(link, struct ending, link), r, err);
	list_remove(&batch->link);
	free(batch);
	if (r && !timer_is_set(&endings->again))
		timer_set(endings->core->watch, &endings->again, RETRY_MS);
	timer_set(endings->core->watch, &endings->soon, 0);
}

/* A process may hold several leases. */
static bool add_process(struct batch *batch, const struct process *process)
{
	struct job_end *end = &batch->job.end;
	size_t i;

	for (i = 0; i < end->count; i++)
		if (end->processes[i].pid == process->pid &&
			end->processes[i].start == process->start)
			return true;
	if (end->count == JOB_MAX_PROCESSES)
		return false;
	batch->processes[end->count++] = *process;
	return true;
}

static struct batch *gather(struct endings *endings, const struct ending *first)
{
	struct batch *batch = new0(struct batch);

	batch->endings = endings;
	batch->owner = (struct identity){ .uid = first->uid, .gid = first->gid };
	list_init(&batch->items);
	batch->job = (struct job){
		.kind = JOB_END_PROCESSES,
		.peer = &batch->owner,
		.end = { .processes = batch->processes, .grace_ms = ENDINGS_GRACE_MS },
		.done = on_done,
	};
	list_for_each_safe (link, &endings->waiting) {
		struct ending *ending = container_of(link, struct ending, link);

		if (ending->uid != batch->owner.uid || !add_process(batch, &ending->process))
			continue;
		list_remove(link);
		list_add(&batch->items, link);
	}
	return batch;
}

static void on_soon(struct timer *timer)
{
	struct endings *endings = container_of(timer, struct endings, soon);
	struct ending *first;

	while ((first = find_startable(endings))) {
		struct batch *batch = gather(endings, first);

		if (pool_submit(endings->core->pool, &batch->job, NULL)) {
			list_take_all(&endings->waiting, &batch->items);
			free(batch);
			timer_set(endings->core->watch, &endings->soon, FULL_MS);
			return;
		}
		list_add(&endings->batches, &batch->link);
	}
}

static void on_again(struct timer *timer)
{
	struct endings *endings = container_of(timer, struct endings, again);

	list_take_all(&endings->waiting, &endings->failed);
	timer_set(endings->core->watch, &endings->soon, 0);
}

void endings_add(struct endings *endings, struct ending *ending)
{
	list_add(&endings->waiting, &ending->link);
	timer_set(endings->core->watch, &endings->soon, 0);
}

void endings_remove(struct ending *ending)
{
	list_remove(&ending->link);
}

struct endings *endings_new(struct core *core)
{
	struct endings *endings = new0(struct endings);

	endings->core = core;
	endings->soon.fired = on_soon;
	endings->again.fired = on_again;
	list_init(&endings->waiting);
	list_init(&endings->failed);
	list_init(&endings->batches);
	return endings;
}

struct endings *endings_free(struct endings *endings)
{
	if (!endings)
		return NULL;
	timer_clear(&endings->soon);
	timer_clear(&endings->again);
	free(endings);
	return NULL;
}
