#pragma once
/*
 * Whether an environment is there, and if it is not, in what it differs from the nearest that
 * is known. Nothing is made, and no lease is taken. Loop thread only.
 */
#include "daemon/core/difference.h"
#include "daemon/core/input.h"
#include "daemon/core/probes.h"
#include "daemon/core/readings.h"
#include "proto/spec.h"

struct explains;
struct explain;

/* All that are under way. The parts are borrowed. */
struct explains *explains_new(struct core *core, struct digests *digests, struct probes *probes,
	struct readings *readings, struct layers *layers, struct artifacts *artifacts);
struct explains *explains_free(struct explains *explains); /* none is under way */

struct explain_result {
	/* Empty when it is for an interpreter in an archive whose layer is not there: who that
	 * is cannot be asked. */
	char hash[SHA256_HEX_SIZE];
	bool is_known; /* such an environment was made, and is remembered */
	bool is_ready; /* all of its layers are there */
	const char **missing; /* owned, what it holds is the spec's: those without a layer */
	size_t missing_count;
	struct db_components components;
	/* The one with most of these components, unless it is known; of several, the latest
	 * used. */
	bool has_nearest;
	struct db_environment nearest;
	size_t nearest_equal; /* how many of the components it has, too */
	struct differences differences; /* from the nearest */
};

/* Embedded in the caller's struct. */
struct explain {
	/* to be filled by the caller; borrowed as long as it is under way */
	const struct spec *spec; /* checked (spec_check()) */
	const struct peer *peer;
	/* Once, when it took longer than explain_begin(), unless explain_abandon() came first.
	 * @err NULL: the result is there. */
	void (*done)(struct explain *explain, const struct error *err);

	struct explain_result result;
	const char *blamed; /* after a failure: the input that is to blame, or NULL; borrowed */

	/* private to explain.c */
	struct explain_work *work;
};

enum {
	EXPLAIN_E_LATER = 1, /* done() will come */
};

/* Fails as a create would that cannot read or find something. */
int explain_begin(struct explains *explains, struct explain *explain, struct error *err);
/* May be called at any time; after done() it only frees the result. */
void explain_abandon(struct explain *explain);
