#pragma once
/*
 * Layers: those that are there, those being made, and the making (single flight).
 * Loop thread only.
 */
#include "daemon/core/core.h"
#include "daemon/core/creation.h"
#include "daemon/core/digests.h"
#include "daemon/core/janitor.h"
#include "daemon/core/pins.h"
#include "daemon/core/slots.h"

struct uploaded;
struct layers;

struct layers *layers_new(
	struct core *core, struct janitor *janitor, struct digests *digests, struct slots *slots);
struct layers *layers_free(struct layers *layers); /* nothing is being made */

/* How requirements become a layer. */
struct layers_install {
	const char *packages; /* a directory; NULL: from an index */
	struct uploaded *uploaded; /* where both were uploaded; or NULL */
	const char *python, *home; /* absolute; the second NULL: it needs none */
	const char *version; /* of the interpreter */
	const char *interpreter_layer; /* the id of the one that it is in; NULL: in none */
	bool use_uv;
};

/* What a layer is to be made from. Borrowed during the call. */
struct layers_want {
	enum job_layer layer;
	const char *name; /* of files and directories; else NULL */
	const char *path;
	const struct peer *peer; /* who may read it */
	struct fs_identity file; /* as it was found at path */
	enum job_compile compile;
	const char *digest; /* hex; NULL: not known, to be computed meanwhile */
	const char *key; /* hex; NULL when the digest is not known */
	int64_t owner;
	const struct layers_install *install; /* of requirements, whose key is known */
	bool refresh; /* of these: to take the place of the layer that has the key */
	bool has_source; /* it is open already, and the making's to close */
	int source_fd;
};

/* One layer being made. */
struct making;

/* NULL when none is being made. */
struct making *layers_find_making(struct layers *layers, const char *key, int64_t owner);
/* The one that is being made from this very file for the same purpose. */
struct making *layers_find_making_from(struct layers *layers, const struct layers_want *want);
/* One of the same artifact size whose digest is not known yet. */
struct making *layers_find_making_of_size(struct layers *layers, uint64_t size);

/* Begins to make it (when the first joins). */
struct making *layers_make(struct layers *layers, const struct layers_want *want);
struct creation *making_creation(struct making *making);
/* The layer, once its waiters are told that it went well; borrowed. */
const struct db_layer *making_layer(const struct making *making);
/* It is the one that was there: making it anew gave the same. */
bool making_confirmed(const struct making *making);
/* How far it is. */
struct job_progress making_progress(const struct making *making);

/* Waits until a making has its digest or has ended; does not keep it alive. */
struct layers_key_waiter {
	struct list link; /* making.until_keyed */
	void (*keyed)(struct layers_key_waiter *waiter);
};

void making_wait_for_key(struct making *making, struct layers_key_waiter *waiter);
void layers_key_waiter_leave(struct layers_key_waiter *waiter);

/* What must not be collected just now. */
struct pins *layers_pins(struct layers *layers);

/* Takes the layer away from everybody and has it removed. */
int layers_condemn(
	struct layers *layers, const char *id, struct janitor_waiter *waiter, struct error *err);

/* Called when a layer has become READY. */
void layers_on_ready(struct layers *layers, void (*ready)(void *data), void *data);

/* For lists: calls @visit for each layer being made. */
struct layers_making_info {
	const char *id, *path; /* borrowed */
	uid_t uid;
	struct job_progress progress;
	size_t waiters;
	int64_t started;
	pid_t pid;
};

void layers_visit(struct layers *layers,
	void (*visit)(const struct layers_making_info *info, void *data), void *data);
size_t layers_count_making(const struct layers *layers);
