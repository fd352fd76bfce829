#pragma once
/*
 * What Apache Beam is told of a worker: a serialized
 * org.apache.beam.model.pipeline.v1.Environment. Pure: the same input gives the same
 * bytes, which Beam keys its running workers on. Any thread.
 */
#include <stddef.h>
#include "base/buffer.h"

struct beam_variable {
	const char *name, *value; /* borrowed; UTF-8 */
};

/* A worker that is a process. @variables in the order in which they are to be written:
 * sorted by name, no name twice. Appends. */
void beam_process_environment(const char *command, const struct beam_variable *variables,
	size_t count, struct buffer *ret);
/* A worker that is a container of this image. Appends. */
void beam_docker_environment(const char *image, struct buffer *ret);
