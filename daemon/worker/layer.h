#pragma once
/* The directory of a layer that is being made: nobody else works on it, and who may enter
 * it in the end. */
#include <stdbool.h>
#include <sys/types.h>
#include "base/error.h"

/* Waits for the lock. *ret is a descriptor of the directory that has it: the caller's. */
int layer_lock(int directory_fd, const char *directory, int *ret, struct error *err);

struct layer_access {
	int directory_fd; /* borrowed */
	const char *directory; /* for messages */
	bool is_all; /* everybody may enter; else: */
	uid_t uid;
	/* These, too: who installs with an interpreter that is in the layer. */
	const uid_t *others;
	size_t other_count; /* at most LAYER_MAX_OTHERS */
};

#define LAYER_MAX_OTHERS 32

int layer_set_access(const struct layer_access *access, struct error *err);
