#pragma once
/* Removing directories, whatever is in them. */
#include "base/identity.h"

struct remove_job {
	int parent_fd;
	char *const *names;
	size_t name_count;
	const struct identity *owner; /* as whom they are emptied; NULL: as ourselves */
	bool are_layers;
	uint32_t threads;
	/* out: one text for each that is left; owned */
	char **failures;
	size_t failure_count;
};

void remove_run(struct remove_job *job);
void remove_deinit(struct remove_job *job);
