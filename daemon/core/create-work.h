#pragma once
/*
 * One create under way: private to create.c, creates.c and create-*.c. Loop thread only.
 */
#include "base/map.h"
#include "daemon/core/create.h"
#include "proto/hash.h"
#include "daemon/core/interpreter.h"
#include "daemon/core/readings.h"

struct creates {
	struct core *core;
	struct digests *digests;
	struct probes *probes;
	struct artifacts *artifacts;
	struct readings *readings;
	struct layers *layers;
	struct leases *leases;
	struct list list; /* of create_work.link */
	struct map by_request; /* of create_work.request_node */
};

enum create_state {
	CREATE_TWIN, /* waits for another with the same request id */
	CREATE_RESOLVE,
	CREATE_INTERPRETER,
	CREATE_INSTALL,
	CREATE_GRANT,
	CREATE_COPY,
	CREATE_RECORD,
};

/* Files of requirements that become artifacts of the lease (create-keep.c). */
struct create_keep {
	struct readings_files files; /* none: nothing is to be kept */
	size_t count; /* of those that are artifacts, and pinned */
	uid_t uid; /* whose */
	bool has_too_many, is_waiting;
	struct creation_waiter waiter;
};

/* Requirements on their way to a layer (create-install.c). */
struct create_install {
	struct reading reading; /* once is_read */
	bool is_read, is_ready, has_waited;
	bool use_uv; /* once it is known for whom */
	struct uploaded *uploaded; /* a reference; NULL: they are at paths */
	struct create_keep keep;
	enum input_origin origin;
	struct making *making; /* borrowed; while it is waited for */
	struct creation_waiter waiter; /* for the reading, then for the making */
	struct reading_work *work; /* borrowed; while it is waited for */
	char hash[SHA256_HEX_SIZE]; /* hash_requirements() */
	struct db_layer layer; /* once is_ready */
	struct db_install result;
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
	struct create_install install;
	struct hash_components components;
	struct lease_grant grant;
	struct db_component *rows; /* of `grant`; owned, what is in them is not */
	const char **layer_ids; /* the same */
	struct db_lease_artifacts artifacts;
	struct lease *lease; /* from CREATE_COPY on */
	size_t copied; /* archives looked at in CREATE_COPY */
	struct job copy;
	int copy_from, copy_to;
	struct timer ticker;
	uint64_t began_us, resolved_us, prepared_us;
	int64_t started;
};

void create_work_free(struct create_work *work);
/* After a wait: the next step, and what came of it. @err NULL: it went well. */
void create_work_go_on(struct create_work *work, const struct error *err);
/* One of those that are waited for in CREATE_RESOLVE is there. */
void create_work_resolved(struct create_work *work, const struct error *err);

/* ---- create-copy.c */

/* 0: there is nothing (more) to copy; CREATE_E_LATER. */
int create_copy(struct create_work *work, struct error *err);

/* ---- create-install.c. Without requirements these do nothing. */

/* First: whether what was uploaded is there. */
int create_install_begin(struct create_work *work, struct error *err);
/* As the peer: whether it is known what the file says. */
void create_install_look(struct create_work *work);
/* 0: it is read, and kept; CREATE_E_LATER: create_work_resolved() will come. */
int create_install_read(struct create_work *work, struct error *err);
/* With the interpreter. 0: the layer is there; CREATE_E_LATER. */
int create_install_prepare(struct create_work *work, struct error *err);
/* Takes the layer of a lease that was there before. */
int create_install_take(struct create_work *work, const char *layer, struct error *err);
void create_install_leave(struct create_work *work);
struct job_progress create_install_progress(const struct create_work *work);

/* ---- create-keep.c. These do nothing unless the worker is a container. */

/* Of these files. */
void create_keep_take(struct create_work *work, const struct readings_files *files);
/* 0: all are kept; CREATE_E_LATER: create_work_resolved() will come. */
int create_keep_begin(struct create_work *work, struct error *err);
/* How many rows that takes at the most; and these, behind those that are there. */
size_t create_keep_count(const struct create_work *work);
void create_keep_add_artifacts(const struct create_work *work, struct db_lease_artifacts *ret);
void create_keep_leave(struct create_work *work);

/* ---- create-lease.c */

/* TOO_MANY: the user has as many in flight as may be. */
int creates_check_count(const struct creates *creates, const struct peer *peer, struct error *err);
/* When the last input was found: what came then was waiting for its layer. */
uint64_t create_work_resolved_us(const struct create_work *work);
/* Of each input that is not ready, and of requirements. */
void create_work_tell_progress(struct create_work *work);
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
