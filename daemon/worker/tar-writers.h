#pragma once
/*
 * Threads that write what one thread decodes, with bounded memory between them. All of
 * a file's bytes go to one writer, in order. Used by the decoding thread only.
 */
#include "daemon/worker/archive-input.h"

struct tar_writers;

int tar_writers_new(const struct archive_input *input, struct tar_writers **ret, struct error *err);
/* Ends the threads, whatever is still queued. */
struct tar_writers *tar_writers_free(struct tar_writers *writers);
DEFINE_CLEANUP(struct tar_writers *, tar_writers_free);

/* A file begins; returns who writes it. */
size_t tar_writers_begin(struct tar_writers *writers);
/* @data is copied. @hole zeros come before it. @is_last ends the file. Fails when any
 * writer has failed. */
int tar_writers_put(struct tar_writers *writers, size_t writer, struct place_entry *entry,
	uint64_t hole, const void *data, size_t size, bool is_last, struct error *err);
/* Waits until all is written. */
int tar_writers_finish(struct tar_writers *writers, struct error *err);
