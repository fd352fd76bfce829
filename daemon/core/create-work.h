#pragma once
/*
 * One create under way: private to create.c and create-lease.c. Loop thread only.
 */
#include "base/map.h"
#include "daemon/core/create.h"
#include "daemon/core/hash.h"
#include "daemon/core/interpreter.h"

struct creates {
	struct core *core;
	struct digests *digests;
	struct probes *probes;
	struct layers *layers;
	struct leases *leases;
	struct list list; /* of create_work.link */
	struct map by_request; /* of create_work.request_node */
};

enum create_state {
	CREATE_TWIN, /* waits for another with the same request id */
	CREATE_RESOLVE,
	CREATE_INTERPRETER,
	CREATE_GRANT,
	CREATE_COPY,
	CREATE_RECORD,
};

struct create_work {
	struct list link; /* creates.list */
	struct create *create;
	struct creates *creates;
	enum create_state state;
	char id[LAYER_ID_LENGTH + 1];
	struct map_node request_node; /* creates.by_request; the leader's */
	char *request;
	struct list twins; /* of create_work.twin_link */
	struct list twin_link; /* create_work.twins of the leader */
	char request_digest[SHA256_HEX_SIZE];
	struct db_lease *known; /* the lease that this request id has already */

	struct input *inputs; /* archives, then files */
	size_t input_count, waiting;
	struct interpreter interpreter;
	struct hash_components components;
	struct lease_grant grant;
	struct db_component *rows; /* of `grant`; owned, what is in them is not */
	const char **layer_ids; /* the same */
	struct lease *lease; /* from CREATE_COPY on */
	size_t copied; /* archives looked at in CREATE_COPY */
	struct job copy;
	int copy_from, copy_to;
	struct timer ticker;
	uint64_t began_us, resolved_us, prepared_us;
	int64_t started;
};

/* TOO_MANY: the user has as many in flight as may be. */
int creates_check_count(const struct creates *creates, const struct peer *peer, struct error *err);
/* Of the layer of the @i-th input. */
const char *create_work_layer_id(const struct create_work *work, size_t i);
/* Fills the result with the layers and the dependency hash. */
void create_work_fill_layers(struct create_work *work);
/* Whether this request id has a lease already: then work->known, and the inputs have
 * its layers. */
int create_work_look_for_known(struct create_work *work, struct error *err);
/* Finds the lease that the request has already, or makes one. */
int create_work_grant(struct create_work *work, struct error *err);
/* Fills the result with the lease: paths and variables. */
void create_work_fill_lease(struct create_work *work);
void create_work_clear_result(struct create_result *result);
