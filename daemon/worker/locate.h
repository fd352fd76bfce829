#pragma once
/* Finding the first of several paths, with the client's eyes. */
#include <stdbool.h>
#include "base/error.h"
#include "base/fs.h"
#include "base/identity.h"

struct worker_locate {
	char *const *paths;
	size_t path_count;
	bool executable;
	const struct identity *peer;
	/* out */
	size_t index;
	struct fs_identity identity;
	bool is_directory;
};

/* -ENOENT; -EACCES for one that is there but not for the peer, or not executable. */
int worker_locate(struct worker_locate *locate, struct error *err);
