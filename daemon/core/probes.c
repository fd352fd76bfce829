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
#include "daemon/core/flight.h"

#define MAX_KNOWN 1024

struct known {
	struct map_node node; /* probes.known */
	struct list link; /* probes.by_use: the least recently used first */
	char *key; /* owned */
	struct job_python python;
};

struct probes {
	struct map known; /* of known.node */
	struct list by_use; /* of known.link */
	struct flights flights; /* of probing.flight */
};

struct probing {
	struct flight flight;
	struct probes *probes;
	char *path, *home; /* owned */
	struct job_python python;
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

static void on_over(struct flight *flight)
{
	struct probing *probing = container_of(flight, struct probing, flight);

	flight_deinit(flight);
	free(probing->path);
	free(probing->home);
	free(probing);
}

static void on_done(
	struct job *job, int r, const struct job_result *result, const struct error *err)
{
	struct probing *probing = container_of(job, struct probing, flight.job);

	if (r == 0) {
		probing->python = result->python;
		learn(probing->probes, probing->flight.key, &result->python);
	}
	flight_end(&probing->flight, r ? err : NULL);
}

struct probing *probes_ask(struct probes *probes, const struct probes_subject *subject)
{
	_cleanup_free_ char *key = format_key(subject);
	struct flight *flight = flights_find(&probes->flights, key);
	struct probing *probing;

	if (flight)
		return container_of(flight, struct probing, flight);
	probing = new0(struct probing);
	probing->probes = probes;
	probing->path = text_copy(subject->path);
	probing->home = text_copy(subject->home);
	flight = &probing->flight;
	flight_init(flight, &probes->flights, key, subject->peer);
	flight->over = on_over;
	flight->job = (struct job){
		.kind = JOB_PROBE,
		.peer = &flight->identity,
		.probe = { probing->path, probing->home },
		.done = on_done,
	};
	return probing;
}

struct creation *probing_creation(struct probing *probing)
{
	return probing->flight.creation;
}

const struct job_python *probing_python(const struct probing *probing)
{
	return &probing->python;
}

struct probes *probes_new(struct core *core)
{
	struct probes *probes = new0(struct probes);

	flights_init(&probes->flights, core);
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
	flights_deinit(&probes->flights);
	free(probes);
	return NULL;
}
