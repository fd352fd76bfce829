#pragma once
/*
 * The configuration: flags, then the file, then what the environment of the process
 * says, then defaults. Read once, before anything else; constant afterwards.
 */
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include "base/error.h"
#include "base/log.h"
#include "daemon/core/core.h"

struct config {
	/* all owned, absolute; user and groups may be empty */
	char *state_dir, *socket, *worker_program;
	char *user, *socket_group, *admin_group;
	char *uv, *index_url, *extra_index_urls; /* NULL: none */
	char *install_users; /* separated by blanks; NULL: those that are there */
	uint32_t workers; /* how many read archives at the same time */
	uint32_t open_timeout_ms, idle_timeout_ms;
	uint32_t max_connections, max_streams;
	enum log_level log_level;
	struct core_config core;
};

enum {
	CONFIG_E_SHOWN = 1, /* --help or --version was answered */
};

int config_parse(struct config *config, int argc, char **argv, struct error *err);
/* Private to config.c: looks for uv, and fills core.install, which borrows. */
int config_finish_install(struct config *config, bool is_root, struct error *err);
void config_deinit(struct config *config);
