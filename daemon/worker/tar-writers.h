#pragma once
/*
 * Threads that write what one thread decodes, with bounded memory between them. Used by
 * the decoding thread only, which lends a hand when there is nothing else for it to do.
 */
#include "daemon/worker/archive-input.h"

struct tar_writers;

int tar_writers_new(const struct archive_input *input, struct tar_writers **ret, struct error *err);
/* Ends the threads, whatever is still queued. */
struct tar_writers *tar_writers_free(struct tar_writers *writers);
DEFINE_CLEANUP(struct tar_writers *, tar_writers_free);

/* A file begins. */
void tar_writers_begin(struct tar_writers *writers, struct place_entry *entry);
/* More of it: @hole zeros, then @data, which is copied unless it lies in the source's
 * mapping. Fails when any file could not be written. */
int tar_writers_put(struct tar_writers *writers, uint64_t hole, const void *data, size_t size,
	struct error *err);
/* It ends, after @hole zeros. */
int tar_writers_end(struct tar_writers *writers, uint64_t hole, struct error *err);
/* Waits until all is written. */
int tar_writers_finish(struct tar_writers *writers, struct error *err);
