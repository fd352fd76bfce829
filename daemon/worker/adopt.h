#pragma once
/*
 * A tree that somebody else has written becomes a layer's: ours, read-only, with no names
 * but what a layer may hold. Nobody else may be at work in it any more.
 */
#include "base/identity.h"
#include "daemon/worker/place.h"

struct adopt {
	int tree_fd; /* borrowed */
	const struct identity *author; /* who has written all of it; NULL: we */
	struct place *place; /* empty, of tree_fd: gets an entry for each */
	uint32_t threads; /* at most so many; one at least */
};

/* Takes whatever is there: files (hard links become files of their own), directories and
 * symbolic links. ENTRY_FORBIDDEN for anything else, and for a file that the author does not
 * own. In the end all is ours; directories can be written still. Needs CAP_CHOWN where the
 * author is somebody else. */
int adopt_tree(struct adopt *adopt, struct error *err);
