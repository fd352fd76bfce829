#pragma once
/*
 * Files of a layer that are the same in another layer become the same on the disk.
 */
#include "daemon/worker/place.h"

/* Layers to look in; more are not worth the looking. */
#define SHARE_MAX_SIBLINGS 8

struct share {
	int directory_fd; /* the layer's: what is in the making has a name there; borrowed */
	int tree_fd; /* ours alone, nobody else at work in it; directories can be written */
	struct place *place; /* of the tree, sorted; gets the times of what is shared */
	const int *siblings; /* trees of finished layers, looked in in this order; borrowed */
	size_t sibling_count;
	uint32_t threads;

	uint64_t bytes; /* out: of files that are shared now */
};

/* Nothing that goes wrong here is a failure: a file is shared, or stays one of its own.
 * Whoever made the siblings' trees may be anybody, and they may be going meanwhile. */
void share_files(struct share *share);
