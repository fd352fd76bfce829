#pragma once
/*
 * A request as Flink has it: a Flink job's configuration, and where its distributed
 * cache keeps files on this host. Pure.
 */
#include "proto/flink-map.h"

struct flink {
	/* Of two entries with one key the later counts. */
	const struct flink_entry *configuration, *cached_files; /* borrowed */
	size_t configuration_count, cached_file_count;
};

/* Fills what of @spec a request could say by archives, python_files, requirements,
 * python, python_path and variables, all of which must be empty; and takes
 * its base_path and base_python_path away if the configuration says that they do not
 * count. To be checked by spec_check() as any other. -EINVAL; @spec is half-filled then. */
int flink_fill(const struct flink *flink, struct spec *spec, struct error *err);
