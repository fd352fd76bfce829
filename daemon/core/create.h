#pragma once
/*
 * One CreateEnvironment, from what was asked for to a lease. Loop thread only.
 */
#include "daemon/core/input.h"
#include "daemon/core/leases.h"
#include "daemon/core/probes.h"
#include "daemon/core/readings.h"
#include "proto/spec.h"
#include "daemon/core/variables.h"

struct creates;
struct create;

/* All that are under way. */
struct creates *creates_new(struct core *core, struct digests *digests, struct probes *probes,
	struct readings *readings, struct layers *layers, struct leases *leases,
	struct artifacts *artifacts);
struct creates *creates_free(struct creates *creates); /* none is under way */
size_t creates_count(const struct creates *creates);

struct create_layer {
	char id[LAYER_ID_LENGTH + 1];
	const char *source; /* borrowed from the spec */
	enum input_origin origin;
	char *directory; /* owned */
	uint64_t bytes;
};

struct create_result {
	char lease_id[LEASE_ID_LENGTH + 1];
	char hash[SHA256_HEX_SIZE];
	bool hit;
	struct create_layer *layers; /* owned */
	size_t layer_count;
	char *base_directory, *working_directory, *interpreter; /* owned */
	struct variables variables;
	uint64_t total_us, resolve_us, prepare_us, lease_us;
	int64_t expires;
};

struct create_progress {
	const char *source;
	struct job_progress progress;
};

/* Embedded in the caller's struct. */
struct create {
	/* to be filled by the caller; borrowed as long as the create is under way */
	struct spec *spec; /* checked (spec_check()) */
	const struct peer *peer;
	/* Once, when it took longer than create_begin(), unless create_abandon() came
	 * first. @err NULL: the result is there, and so is a lease, whose delivery has
	 * begun (leases_end_delivery() must follow). */
	void (*done)(struct create *create, const struct error *err);
	/* Several times a second, for each input that is not ready; may be NULL. */
	void (*progress)(struct create *create, const struct create_progress *progress);

	struct create_result result;
	const char *blamed; /* after a failure: the input that is to blame, or NULL; borrowed */

	/* private to create.c */
	struct creates *creates;
	struct create_work *work;
};

enum {
	CREATE_E_LATER = 1, /* done() will come */
};

int create_begin(struct creates *creates, struct create *create, struct error *err);
/* The caller does not wait any more; nothing is left of it. May be called at any
 * time; after done() it only frees the result. */
void create_abandon(struct create *create);

/* For lists. */
struct create_info {
	const char *id, *hash, *label; /* borrowed; the hash may be empty */
	uid_t uid;
	int64_t started;
};

void creates_visit(struct creates *creates,
	void (*visit)(const struct create_info *info, void *data), void *data);
