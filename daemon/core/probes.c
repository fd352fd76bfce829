/*
 * What a Python answers depends on more than its executable (a pyvenv.cfg beside it, the
 * library that it finds), but in practice changes with it; and an interpreter in a layer
 * cannot change. The path is part of the key, for it decides which environment an
 * executable that is a link belongs to; so is the reader, for it may be refused to others.
 *
 * Failures are not kept: the next to ask gets a new try.
 */
#include "daemon/core/probes.h"

#include "base/map.h"

#define MAX_KNOWN 1024

struct known {
	struct map_node node; /* probes.known */
	struct list link; /* probes.by_use: the least recently used first */
	char *key; /* owned */
	struct job_python python;
};

struct probes {
	struct core *core;
	struct map known; /* of known.node */
	struct list by_use; /* of known.link */
	struct map asked; /* of probing.node */
};

struct probing {
	struct map_node node; /* probes.asked */
	struct probes *probes;
	struct creation *creation; /* owned */
	char *key, *path, *home; /* owned */
	struct identity identity;
	struct job_python python;
	struct job job;
	struct timer failed_early;
	struct error err;
};

static char *format_key(const struct probes_subject *subject)
{
	_cleanup_free_ char *file = fs_identity_format(subject->file);

	return text_format("%s/%s/%s", file, subject->peer->reader, subject->path);
}

/* ---- those that are known */

static void known_free(struct probes *probes, struct known *known)
{
	map_remove(&probes->known, &known->node);
	list_remove(&known->link);
	free(known->key);
	free(known);
}

const struct job_python *probes_find(struct probes *probes, const struct probes_subject *subject)
{
	_cleanup_free_ char *key = format_key(subject);
	struct map_node *node = map_find(&probes->known, key);
	struct known *known;

	if (!node)
		return NULL;
	known = container_of(node, struct known, node);
	list_remove(&known->link);
	list_add(&probes->by_use, &known->link);
	return &known->python;
}

static void learn(struct probes *probes, const char *key, const struct job_python *python)
{
	struct known *known = new0(struct known);
	struct list *oldest;

	known->key = text_copy(key);
	known->python = *python;
	if (!map_add(&probes->known, &known->node, known->key)) {
		free(known->key);
		free(known);
		return;
	}
	list_add(&probes->by_use, &known->link);
	if (probes->known.count > MAX_KNOWN && (oldest = list_pop(&probes->by_use)))
		known_free(probes, container_of(oldest, struct known, link));
}

/* ---- asking */

static void probing_free(struct probing *probing)
{
	map_remove(&probing->probes->asked, &probing->node);
	timer_clear(&probing->failed_early);
	creation_free(probing->creation);
	identity_deinit(&probing->identity);
	free(probing->key);
	free(probing->path);
	free(probing->home);
	free(probing);
}

static void finish(struct probing *probing)
{
	if (!creation_finish(probing->creation, !probing->err.r))
		return;
	map_remove(&probing->probes->asked, &probing->node);
	creation_announce(probing->creation, probing->err.r ? &probing->err : NULL);
	probing_free(probing);
}

static void on_failed_early(struct timer *timer)
{
	finish(container_of(timer, struct probing, failed_early));
}

static void on_done(
	struct job *job, int r, const struct job_result *result, const struct error *err)
{
	struct probing *probing = container_of(job, struct probing, job);

	if (r) {
		probing->err = *err;
	} else {
		probing->python = result->python;
		learn(probing->probes, probing->key, &result->python);
	}
	finish(probing);
}

static void work_start(void *data)
{
	struct probing *probing = data;
	struct core *core = probing->probes->core;

	probing->err = (struct error){ 0 };
	if (pool_submit(core->pool, &probing->job, &probing->err))
		timer_set(core->watch, &probing->failed_early, 0);
}

static void work_stop(void *data)
{
	struct probing *probing = data;

	pool_cancel(probing->probes->core->pool, &probing->job);
}

struct probing *probes_ask(struct probes *probes, const struct probes_subject *subject)
{
	static const struct creation_work work = { work_start, work_stop };
	_cleanup_free_ char *key = format_key(subject);
	struct map_node *node = map_find(&probes->asked, key);
	struct probing *probing;

	if (node)
		return container_of(node, struct probing, node);
	probing = new0(struct probing);
	probing->probes = probes;
	probing->creation = creation_new(&work, probing);
	probing->key = STEAL(key);
	probing->path = text_copy(subject->path);
	probing->home = text_copy(subject->home);
	identity_copy(&probing->identity, &subject->peer->identity);
	probing->failed_early.fired = on_failed_early;
	probing->job = (struct job){
		.kind = JOB_PROBE,
		.peer = &probing->identity,
		.probe = { probing->path, probing->home },
		.done = on_done,
	};
	map_add(&probes->asked, &probing->node, probing->key);
	return probing;
}

struct creation *probing_creation(struct probing *probing)
{
	return probing->creation;
}

const struct job_python *probing_python(const struct probing *probing)
{
	return &probing->python;
}

struct probes *probes_new(struct core *core)
{
	struct probes *probes = new0(struct probes);

	probes->core = core;
	list_init(&probes->by_use);
	return probes;
}

struct probes *probes_free(struct probes *probes)
{
	struct list *link;

	if (!probes)
		return NULL;
	while ((link = list_pop(&probes->by_use)))
		known_free(probes, container_of(link, struct known, link));
	map_deinit(&probes->known);
	map_deinit(&probes->asked);
	free(probes);
	return NULL;
}
