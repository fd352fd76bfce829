#pragma once
/*
 * A piece of blocking work, as values: what goes to a worker process and what comes back.
 * Submitted to the daemon's pool (pool.h), or sent to a worker of one's own (worker.h).
 * One thread.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include "base/error.h"
#include "base/fs.h"
#include "base/identity.h"
#include "base/list.h"
#include "base/sha256.h"
#include "proto/process.h"

enum job_kind {
	JOB_LOCATE = 1,
	JOB_DIGEST,
	JOB_EXTRACT,
	JOB_COPY,
	JOB_REMOVE,
	JOB_CHECKPOINT,
	JOB_SYNC,
	JOB_PROBE,
	JOB_REQUIREMENTS,
	JOB_INSTALL,
	JOB_END_USER,
	JOB_RECEIVE,
	JOB_END_PROCESSES,
	JOB_START,
};

enum job_layer {
	JOB_LAYER_ARCHIVE,
	JOB_LAYER_FILE,
	JOB_LAYER_DIRECTORY,
	JOB_LAYER_REQUIREMENTS,
};

enum job_compile {
	JOB_COMPILE_VIRTUALENVS,
	JOB_COMPILE_ALWAYS,
	JOB_COMPILE_NEVER,
};

enum job_phase {
	JOB_PHASE_WAITING,
	JOB_PHASE_DIGEST,
	JOB_PHASE_EXTRACT,
	JOB_PHASE_BYTECODE,
	JOB_PHASE_FINISH,
	JOB_PHASE_INSTALL,
	JOB_PHASE_UPLOAD, /* of no job */
};

/* What a layer may be; 0 is no limit. */
struct job_limits {
	uint64_t max_bytes, max_entries;
	uint32_t max_depth, max_name, max_ratio;
	uint64_t ratio_floor_bytes, reserve_bytes;
};

struct job_locate {
	const char *const *paths;
	size_t path_count;
	bool executable;
};

struct job_digest {
	const char *path;
	struct fs_identity expected; /* ino 0: any */
	bool may_be_directory;
	/* A file is copied first, and the copy digested. */
	bool copy;
	int copy_fd; /* borrowed; the empty file to copy to */
	uint64_t reserve_bytes;
};

struct job_extract {
	const char *path;
	struct fs_identity expected; /* ino 0: any */
	enum job_layer layer;
	const char *name; /* of a file or directory: its name in the tree */
	bool hash; /* the digest is not known: the `digested` callback will come */
	const uint8_t *expected_sha256; /* or NULL */
	bool copy_first;
	bool access_all;
	uid_t access_uid;
	enum job_compile compile;
	const struct job_limits *limits;
	uint32_t threads;
	int directory_fd; /* the layer's directory; borrowed */
	const char *directory; /* its absolute path */
	const char *header; /* lines for the manifest */
	/* The source is open already, and borrowed; the path is only for messages. */
	bool has_source;
	int source_fd;
};

struct job_probe {
	const char *path; /* of a Python executable */
	const char *home; /* PYTHONHOME if it does not start without; or NULL */
};

/* Who a Python is. */
struct job_python {
	char implementation[32], version[32], abi[96], platform[96];
	char pip[32]; /* version; may be empty */
	bool needs_home;
};

/* What is in a directory of artifacts, and what it is called where it comes from. */
struct job_upload {
	char *name, *file;
};

/* Requirements that were uploaded. */
struct job_uploads {
	int directory_fd; /* borrowed */
	const struct job_upload *files; /* the requirements file, then what it includes */
	size_t file_count;
	bool has_packages; /* nothing else is installed */
	const struct job_upload *packages;
	size_t package_count;
};

struct job_requirements {
	const char *path, *packages; /* the second NULL: from an index */
	uint32_t threads;
	const struct job_uploads *uploads; /* where they are instead; or NULL */
};

/* One that was read. */
struct job_file {
	const char *path;
	const char *name; /* beside the requirements file, or "packages/…"; NULL: a directory */
	struct fs_identity identity;
	uint8_t sha256[SHA256_SIZE];
};

#define JOB_MAX_SIBLINGS 8

struct job_install {
	struct job_requirements source;
	const uint8_t *expected_sha256;
	const char *uv; /* NULL: pip of the interpreter */
	const char *python, *home; /* the second NULL: it needs none */
	const char *index_url, *extra_index_urls; /* NULL: none */
	bool compile;
	bool access_all;
	uid_t access_uid;
	const struct identity *slot; /* who installs; NULL: we */
	const uid_t *installers; /* all who may be a slot */
	size_t installer_count;
	const struct job_limits *limits;
	uint32_t threads, seconds;
	int directory_fd, log_fd; /* borrowed */
	int siblings[JOB_MAX_SIBLINGS]; /* trees of layers to share files with; borrowed */
	size_t sibling_count;
	int interpreter_layer_fd; /* borrowed; -1: it is in none */
	const char *directory, *header; /* as of an extraction */
	const char *log_path;
};

struct job_copy {
	int from_fd, to_fd; /* borrowed */
};

struct job_remove {
	int parent_fd; /* borrowed */
	const char *const *names;
	size_t name_count;
	bool as_peer, layers;
	uint32_t threads;
};

struct job_receive {
	int from_fd, to_fd; /* borrowed; a pipe, and the file to write */
	uint64_t size, reserve_bytes;
};

#define JOB_MAX_PROCESSES 256

struct job_end {
	const struct process *processes; /* at most JOB_MAX_PROCESSES */
	size_t count;
	uint32_t grace_ms;
};

struct job_start {
	int gate_fd; /* borrowed; a pipe, through which comes what is to be executed (launch.h) */
};

struct job_progress {
	enum job_phase phase;
	uint64_t done_bytes, total_bytes, done_entries;
};

struct job_result {
	/* JOB_LOCATE, JOB_DIGEST; JOB_EXTRACT when it has hashed; the digest: JOB_RECEIVE */
	struct fs_identity file;
	bool is_directory;
	uint32_t index;
	uint8_t sha256[SHA256_SIZE];
	/* JOB_EXTRACT */
	uint64_t bytes, entries, compiled;
	char format[24], note[256];
	/* JOB_PROBE */
	struct job_python python;
	/* JOB_REQUIREMENTS (and sha256); borrowed, valid in done() */
	const struct job_file *files;
	size_t file_count;
	uint32_t requirement_count;
	bool is_pinned, needs_pip;
	const char *specifiers; /* name, extras, versions, marker: a line each */
	/* JOB_INSTALL (and bytes, entries); texts are borrowed, valid in done() */
	uint64_t shared_bytes;
	const char *site, *scripts, *resolved;
	/* JOB_START, from `started` on */
	struct process process;
	/* JOB_REMOVE: texts about what could not be removed; borrowed, valid in done() */
	char *const *failures;
	size_t failure_count;
};

struct job {
	enum job_kind kind;
	/* Who opens sources, and may do what else is done; NULL where there is nothing such. */
	const struct identity *peer;
	union {
		struct job_locate locate;
		struct job_digest digest;
		struct job_extract extract;
		struct job_copy copy;
		struct job_probe probe;
		struct job_requirements requirements;
		struct job_install install;
		const struct identity *user; /* of JOB_END_USER */
		struct job_remove remove;
		const char *checkpoint_path;
		int sync_fd; /* borrowed */
		struct job_receive receive;
		struct job_end end;
		struct job_start start;
	};

	/* Called when they happen; all but `done` may be NULL. */
	void (*started)(struct job *job, const struct job_result *result);
	void (*digested)(struct job *job, const struct job_result *result);
	void (*progress)(struct job *job, const struct job_progress *progress);
	/* @err is filled when @r is not 0; -ECANCELED after pool_cancel(). */
	void (*done)(
		struct job *job, int r, const struct job_result *result, const struct error *err);

	/* private to pool.c */
	struct list link; /* pool.waiting[] while it has no worker */
	struct worker *worker;
	bool cancelled;
};

/* Such a worker ends by itself when its socket does, and takes with it what it has
 * started; others are killed. */
bool job_runs_programs(const struct job *job);
/* What it opens first, as a client, which may never end; NULL: nothing. */
const char *job_opened_path(const struct job *job);

#define JOB_MAX_FDS (4 + JOB_MAX_SIBLINGS)

/* The descriptors that go with it (borrowed); returns how many. */
size_t job_list_fds(const struct job *job, int fds[JOB_MAX_FDS]);
