#pragma once
/* Private to layers.c, which knows all layers, layers-make.c, which makes one,
 * layers-install.c, which knows how requirements become one, and layers-refresh.c, which
 * knows of those that take the place of another. */
#include "base/list.h"
#include "base/map.h"
#include "daemon/core/layers.h"

struct layers {
	struct core *core;
	struct janitor *janitor; /* borrowed */
	struct digests *digests; /* borrowed */
	struct slots *slots; /* borrowed */
	struct map by_source, by_key; /* of making */
	struct list makings; /* of making.link */
	struct pins pins;
	void (*ready)(void *data);
	void *ready_data;
};

/* What a making of requirements has besides. */
struct making_install {
	struct making *making;
	char *packages, *python, *home, *version, *interpreter_layer; /* owned; as layers_install */
	struct uploaded *uploaded; /* a reference; or NULL */
	bool use_uv;
	struct slots_waiter slot;
	bool is_waiting; /* for the slot */
	int log_fd, interpreter_layer_fd; /* -1 */
	int siblings[JOB_MAX_SIBLINGS]; /* trees of other layers */
	size_t sibling_count;
	char *log_path; /* owned */
	struct db_install result;
};

struct making {
	struct list link; /* layers.makings */
	struct layers *layers;
	struct creation *creation; /* owned */
	struct map_node source_node; /* layers.by_source */
	struct map_node key_node; /* layers.by_key, once there is a key */
	char *source, *key_and_owner;
	struct list until_keyed; /* of layers_key_waiter.link */

	enum job_layer kind;
	char *path, *name;
	struct identity identity;
	char reader[SHA256_HEX_SIZE];
	struct fs_identity file;
	enum job_compile compile;

	struct db_layer layer;
	uint8_t expected[SHA256_SIZE];
	int directory_fd, source_fd; /* the source: -1 where the worker opens it */
	char *directory, *header;
	struct job job;
	struct job_progress progress;
	int64_t started;
	struct error err;
	struct timer failed_early;
	struct janitor_waiter removed;
	struct making_install *install; /* owned; NULL: it is extracted or copied */
	bool is_refresh; /* the row gets the key last */
	bool is_kept; /* after all; it is pinned */
	struct db_layer kept; /* the one before */
};

/* As layers.by_key and layers.by_source know a making. The caller frees them. */
char *layers_format_key(const char *key, int64_t owner);
char *layers_format_source(const struct layers_want *want);

/* ---- layers-make.c, for layers-install.c */

/* Row, directory and job, whose kind-specific part is the caller's. */
int making_try_start(struct making *making, struct error *err);
/* @making->err says why there is nothing to clean up but what there is. */
void making_fail_to_start(struct making *making);
/* Of its job. */
void making_on_progress(struct job *job, const struct job_progress *progress);
/* The job has ended, well or not (making->err). */
void making_end(struct making *making, const struct job_result *result);

/* ---- layers-refresh.c, for layers-make.c. They do nothing to others. */

/* What was made may be what there is; then making->is_kept. */
int making_refresh_end(struct making *making, struct error *err);
/* In the transaction that publishes the layer. */
int making_refresh_publish(struct making *making, struct error *err);
/* Nobody has to be told any more. */
void making_refresh_forget(struct making *making);

/* ---- layers-install.c, for layers-make.c */

struct making_install *making_install_new(
	struct making *making, const struct layers_install *install);
void making_install_free(struct making_install *install);
void making_install_start(struct making *making);
void making_install_stop(struct making *making);
/* Opens what the job needs and fills it. */
int making_install_fill_job(struct making *making, struct error *err);
/* In the transaction that publishes the layer. */
int making_install_publish(struct making *making, struct error *err);
