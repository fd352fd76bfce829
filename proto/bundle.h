#pragma once
/*
 * A bundle (.pyenv) says what an environment is to be, in a file that Flink ships with a job.
 * Its format is in pyenvctl.1. Any thread.
 */
#include <stdio.h>
#include "base/error.h"
#include "base/sha256.h"
#include "proto/request.h"

/* A file that the bundle holds. */
struct bundle_file {
	char *name; /* owned */
	char sha256[SHA256_HEX_SIZE];
	uint64_t size, offset; /* in the bundle */
};

/* One of the files of requirements that the bundle holds, but the first. */
struct bundle_part {
	char *file, *name; /* owned; in the bundle, and as UploadedRequirements has it */
	bool is_package;
};

struct bundle {
	char *path; /* owned; NULL: it is a text that holds nothing */
	char **words; /* owned, and the texts; options of create's: "--name=value" */
	size_t word_count;
	struct bundle_file *files; /* owned */
	size_t file_count;
	struct bundle_part *parts; /* owned */
	size_t part_count;
	bool no_index;
	uint64_t size; /* that the bundle must have: up to the end of what it holds */
};

/* -EINVAL with words that name @path and the line, or -errno. */
int bundle_read(const char *path, struct bundle *ret, struct error *err);
/* The same of a text that holds no files: lines, divided by newlines or ';'. @name is for
 * words. */
int bundle_parse(const char *name, const char *text, struct bundle *ret, struct error *err);
/* What it says. Files that it holds are named by their digests. */
int bundle_fill_request(const struct bundle *bundle, struct request *request, struct error *err);
/* Its text, without the first line and the last. */
void bundle_print(const struct bundle *bundle, FILE *file);
void bundle_deinit(struct bundle *bundle);

#define _cleanup_bundle_ _cleanup_(bundle_deinit)
