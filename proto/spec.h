#pragma once
/*
 * What was asked for, as values: checked text, no longer a wire message and not
 * yet anything on a disk. Pure.
 */
#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/error.h"
#include "base/sha256.h"
#include "proto/job.h"

/* What a request may say at the most: bytes, without the NUL; archives and Python
 * files together. */
#define SPEC_MAX_TARGET (PATH_MAX / 2)
#define SPEC_MAX_PATH_LIST 65536
#define SPEC_MAX_VALUE 131071
#define SPEC_MAX_INPUTS 1024
#define SPEC_MAX_TTL 2592000 /* seconds */
/* A path is absolute; or, of an artifact, this and its digest. */
#define SPEC_ARTIFACT "sha256:"

struct spec_archive {
	char *path, *target; /* owned */
	bool private_copy;
};

struct spec_file {
	char *path, *name; /* owned; the name is never empty */
};

struct spec_variable {
	char *name, *value; /* owned */
};

/* An artifact by its digest, and what it is called where it comes from. */
struct spec_upload {
	char *name, *digest; /* owned */
};

struct spec_requirements {
	char *path; /* owned; NULL: none */
	/* Owned; a directory, from which alone is installed, empty where its packages were
	 * uploaded; NULL: an index. */
	char *packages;
	/* Where they were uploaded: the one that path names, then what it includes. */
	struct spec_upload *files, *package_files; /* owned */
	size_t file_count, package_count;
	bool refresh; /* whatever is there, what an index says now */
};

enum spec_holder {
	SPEC_HOLDER_PROCESS,
	SPEC_HOLDER_CONNECTION,
	SPEC_HOLDER_TIME,
};

/* How Beam starts a worker. */
enum spec_worker {
	SPEC_WORKER_PROCESS,
	SPEC_WORKER_DOCKER,
};

struct spec {
	char *request_id, *label; /* owned; may be empty, never NULL */
	struct spec_archive *archives;
	size_t archive_count;
	struct spec_file *files;
	size_t file_count;
	struct spec_requirements requirements;
	char *python, *python_path; /* owned; may be empty, never NULL */
	struct spec_variable *variables; /* sorted by name, no name twice */
	size_t variable_count;
	char *base_path, *base_python_path; /* owned; NULL when not given */
	enum job_compile compile;
	enum spec_holder holder;
	int32_t holder_pid; /* 0: the peer */
	int32_t guardian_pid; /* of SPEC_HOLDER_PROCESS; 0: none */
	uint32_t holder_seconds; /* of SPEC_HOLDER_TIME */
	uint32_t holder_grace_ms;
	enum spec_worker worker;
	/* Owned; its command or container image. NULL: a process of the default command. */
	char *worker_program;
};

/* The digest of a path that names an artifact; else NULL. */
const char *spec_get_digest(const char *path);

void spec_requirements_deinit(struct spec_requirements *requirements);
void spec_deinit(struct spec *spec);

/* REQUEST_INVALID in the name of @field: longer than @limit bytes; not an absolute
 * path that a system call takes; more than SPEC_MAX_INPUTS. */
int spec_check_length(const char *text, size_t limit, const char *field, struct error *err);
int spec_check_path(const char *path, const char *field, struct error *err);
int spec_check_inputs(size_t count, struct error *err);
/* The same: no SHA-256 in hex; not between a second and SPEC_MAX_TTL. */
int spec_check_digest(const char *sha256, const char *field, struct error *err);
int spec_check_ttl(uint32_t seconds, struct error *err);

/* A Python file, without slashes at the end of its path; no @name: the last
 * component. */
struct spec_file spec_file_of(const char *path, const char *name);

/* Sorts what has no order; refuses targets that are no place beneath a directory
 * (TARGET_INVALID) or in each other's way (TARGET_CONFLICT), and what else
 * contradicts itself. */
int spec_check(struct spec *spec, struct error *err);

/* What becomes of an entry of python.files, by its name, as Flink does it. */
enum spec_file_use {
	SPEC_FILE_MODULE, /* its directory goes on PYTHONPATH */
	SPEC_FILE_EXTRACTED, /* what was in it goes on PYTHONPATH */
	SPEC_FILE_ITSELF, /* it goes on PYTHONPATH */
};

enum spec_file_use spec_file_use(const char *name);

/* What is made of an entry, and of an archive (@name NULL). */
enum job_layer spec_layer_kind(const char *name, bool is_directory);
/* WORKER_MISMATCH: a directory, for workers that are containers. */
int spec_check_kind(
	const char *path, enum job_layer kind, bool is_for_container, struct error *err);

/* The archive that @path (relative) leads into; @rest is what comes behind its
 * target. NULL: none does. */
const struct spec_archive *spec_find_archive(
	const struct spec *spec, const char *path, const char **rest);
