#pragma once
/* The start as root: makes the directories, and becomes the service's user. */
#include "daemon/config.h"

struct privilege {
	gid_t socket_group, admin_group; /* (gid_t)-1: none */
	mode_t socket_mode;
	struct identity *install_users; /* owned; whom requirements may be installed as */
	size_t install_user_count;
};

void privilege_deinit(struct privilege *privilege);

int privilege_drop(const struct config *config, struct privilege *ret, struct error *err);
