#pragma once
/*
 * All that lies in a client's directory, opened with the client's eyes, in the order of
 * names. One thread.
 */
#include "daemon/worker/place.h"
#include "daemon/worker/source.h"

struct walk_entry {
	const char *name; /* beneath the directory; borrowed */
	enum place_type type; /* a file, directory or symbolic link */
	bool is_executable;
	int64_t mtime;
	uint64_t size;
	const char *target; /* of a symbolic link */
	int fd; /* of a file, readable; borrowed */
};

/* @visit for each; a failure of it ends the walk. What is neither file, directory nor
 * symbolic link is ENTRY_FORBIDDEN. */
int walk(const struct source *directory, const struct identity *peer,
	int (*visit)(const struct walk_entry *entry, void *data, struct error *err), void *data,
	struct error *err);
