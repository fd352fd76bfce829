#pragma once
/* Private to layers.c, which knows all layers, and layers-make.c, which makes one. */
#include "base/list.h"
#include "base/map.h"
#include "daemon/core/layers.h"

struct layers {
	struct core *core;
	struct janitor *janitor; /* borrowed */
	struct digests *digests; /* borrowed */
	struct map by_source, by_key; /* of making */
	struct list makings; /* of making.link */
	struct pins pins;
	void (*ready)(void *data);
	void *ready_data;
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
	int directory_fd;
	char *directory, *header;
	struct job job;
	struct job_progress progress;
	int64_t started;
	struct error err;
	struct timer failed_early;
	struct janitor_waiter removed;
};

/* As layers.by_key and layers.by_source know a making. The caller frees them. */
char *layers_format_key(const char *key, int64_t owner);
char *layers_format_source(const struct layers_want *want);
