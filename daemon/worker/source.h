#pragma once
/*
 * A source, opened with the client's eyes and then read with ours. One thread.
 */
#include <stdbool.h>
#include "base/error.h"
#include "base/fs.h"
#include "base/identity.h"

struct source {
	const char *path; /* borrowed */
	int fd; /* readable */
	struct fs_identity identity;
	bool is_directory;
	bool is_private; /* nobody else can change it */
	/* The content of a file, once mapped. */
	const uint8_t *data;
	size_t size;
};

#define SOURCE_INIT                                                                                \
	{                                                                                          \
		.fd = -1                                                                           \
	}

/* As @peer; may wait for somebody else's disk or server, for ever. @expected may be
 * NULL or have inode 0: any file will do. */
int source_open(struct source *source, const char *path, const struct identity *peer,
	const struct fs_identity *expected, bool may_be_directory, struct error *err);
/* One that is open already, ours to close, and that nobody changes; @path is for messages. */
int source_adopt(struct source *source, int fd, const char *path, struct error *err);
/* Whether it is still the same: -ESTALE (SOURCE_CHANGED). */
int source_check(const struct source *source, struct error *err);
/* Of a file that is not empty. A file that shrinks meanwhile raises SIGBUS. */
int source_map(struct source *source, struct error *err);
/* Reads it once into @to, which is empty, and goes on with that, as its own; unless the file
 * system would have less than @reserve bytes left. */
int source_copy_to(struct source *source, int to, uint64_t reserve, struct error *err);
/* The same with an unlinked file in @directory_fd. */
int source_copy(struct source *source, int directory_fd, uint64_t reserve, struct error *err);
/* Its content into the empty file @to, as it was when it was opened: shared where the file
 * system can, and unless that would have less than @reserve bytes left. Any thread. */
int source_fill(const struct source *source, int to, uint64_t reserve, struct error *err);
void source_close(struct source *source);
