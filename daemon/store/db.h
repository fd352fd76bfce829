#pragma once
/*
 * The index: what is on the disk, who uses it, and what it was made from. The
 * only door to SQLite in the daemon. Speaks in layers, environments and leases;
 * no SQL and no statement leaves this file. Loop thread only, one connection.
 *
 * Everything handed out is a copy; lists are arrays owned by the caller. Times
 * are unix milliseconds. An @owner is a uid, or DB_SHARED where all may use it.
 *
 * Errors: 0, a negative errno (-EIO for what SQLite says, -ENOSPC for a full
 * disk), or one of the outcomes DB_E_… that the function names.
 */
#include <stdbool.h>
#include <stdint.h>
#include "base/error.h"
#include "base/fs.h"
#include "base/sha256.h"

#define DB_SHARED (-1)
#define LAYER_ID_LENGTH 8
#define LEASE_ID_LENGTH 16

struct db;

enum {
	DB_E_NOT_FOUND = 1,
	DB_E_EXISTS,
	DB_E_TOO_NEW, /* db_open(): made by a later version */
};

enum layer_state {
	LAYER_PREPARING = 1,
	LAYER_READY,
	LAYER_DELETING,
};

struct db_layer {
	char id[LAYER_ID_LENGTH + 1];
	/* "" while the artifact's digest is not known, or another layer has the key that this
	 * one, once it is ready, is to take over. */
	char key[SHA256_HEX_SIZE];
	int64_t owner;
	enum layer_state state;
	char kind[16]; /* "archive", "file", "directory", "requirements" */
	char name[256]; /* of files and directories: the name in the tree */
	char digest[SHA256_HEX_SIZE]; /* of the artifact; "" while not known */
	uint64_t artifact_bytes, bytes, entries;
	bool durable;
	int64_t created, used;
	uint64_t shared_bytes; /* of bytes: of files that layers before it have, too */
	bool superseded; /* another has its key now: it is found by its id alone */
	uint64_t leases; /* counted when read; not stored */
};

struct db_ids {
	char (*rows)[LEASE_ID_LENGTH + 1]; /* owned; free() */
	size_t count;
};

struct db_component {
	char *kind, *name, *value; /* owned */
};

struct db_environment {
	char hash[SHA256_HEX_SIZE];
	int64_t owner;
	int64_t created, used;
	uint64_t uses;
	uint64_t leases, bytes; /* counted when read; not stored */
};

enum db_holder {
	DB_HOLDER_PROCESS = 1,
	DB_HOLDER_CONNECTION,
	DB_HOLDER_TIME,
};

/* What is to be started in a lease's environment. */
enum db_worker {
	DB_WORKER_PROCESS = 1,
	DB_WORKER_DOCKER,
};

struct db_lease {
	char id[LEASE_ID_LENGTH + 1];
	uint32_t uid, gid;
	char hash[SHA256_HEX_SIZE]; /* the environment's */
	int64_t owner; /* the environment's */
	char request_id[129]; /* may be empty */
	char request_digest[SHA256_HEX_SIZE]; /* tells whether a retry is the same request */
	char label[257];
	enum db_holder holder;
	int32_t pid; /* of a process */
	uint64_t pid_start; /* field 22 of its /proc/<pid>/stat */
	char boot_id[37]; /* of the boot in which it was made */
	int64_t expires; /* of a time-to-live; 0 for others */
	uint32_t grace_ms; /* of a connection */
	int64_t created;
	enum db_worker worker;
	int32_t guardian_pid; /* with which the holder ends; 0: with none */
	uint64_t guardian_start; /* as pid_start */
};

/* A digest that was computed for a file as it was then, by somebody who could
 * read it. @reader names who (uid, gid and groups). */
struct db_digest {
	struct fs_identity file;
	char reader[SHA256_HEX_SIZE];
	char sha256[SHA256_HEX_SIZE];
};

/* ---- open */

/* Opens or makes the database at @path and brings it to the newest schema.
 * DB_E_TOO_NEW. @on_pages is called on the loop after a commit that left the
 * write-ahead log at @pages pages (for checkpoints); it must not use the db. */
int db_open(const char *path, void (*on_pages)(int pages, void *data), void *data, struct db **ret,
	struct error *err);
struct db *db_close(struct db *db);
DEFINE_CLEANUP(struct db *, db_close);

/* Several functions as one. Not nested. A failed commit rolls back. Every function
 * is all or nothing by itself; once one has failed within a transaction (a negative
 * errno, not an outcome), all others and the commit fail until db_rollback(). */
int db_begin(struct db *db, struct error *err);
int db_commit(struct db *db, struct error *err);
void db_rollback(struct db *db);

/* Writes the log back, right here: for the little that a checkpoint by a worker has left.
 * Waits for the disk. */
int db_checkpoint_rest(struct db *db, struct error *err);

/* ---- settings: short texts that must outlive the daemon ("boot_id", "salt") */

int db_get_setting(struct db *db, const char *name, char *value, size_t size,
	struct error *err); /* DB_E_NOT_FOUND */
int db_put_setting(struct db *db, const char *name, const char *value, struct error *err);

/* ---- digests */

/* DB_E_NOT_FOUND: not known for this file, as it is now, and this reader. */
int db_find_digest(struct db *db, const struct fs_identity *file, const char *reader,
	char sha256[SHA256_HEX_SIZE], struct error *err);
int db_put_digest(struct db *db, const struct db_digest *digest, int64_t now, struct error *err);
/* Whether any known artifact (digests and layers) has this many bytes. */
int db_has_artifact_size(struct db *db, uint64_t size, bool *ret, struct error *err);
/* Forgets digests put before @before whose artifact no layer used since then was
 * made from (finding a digest writes nothing). */
int db_trim_digests(struct db *db, int64_t before, struct error *err);

/* ---- layers */

/* A row in LAYER_PREPARING. DB_E_EXISTS: the id is taken. */
int db_add_layer(struct db *db, const struct db_layer *layer, struct error *err);
/* Sets key and digest of a layer that was added without. DB_E_EXISTS: another
 * layer that is not DELETING has this key and owner. */
int db_set_layer_key(struct db *db, const char *id, const char *key, const char *digest,
	uint64_t artifact_bytes, struct error *err);
/* PREPARING -> READY, with the figures from the worker: the layer's id, bytes, entries and
 * shared_bytes. -EINVAL from elsewhere. */
int db_publish_layer(struct db *db, const struct db_layer *layer, int64_t now, struct error *err);
/* For one in PREPARING without a key, before it is published: it takes over @key of this
 * owner from the layer that has it, if there is one. */
int db_supersede_layer(
	struct db *db, const char *key, int64_t owner, const char *id, struct error *err);
/* What came of installing requirements into a layer. */
struct db_install {
	char *site; /* owned; relative to its tree, separated by ':': where packages are */
	char *scripts; /* owned; relative; empty: it has none */
	char *resolved; /* owned; a line for each package: name, blank, version */
	int64_t resolved_at; /* when an index, or a directory, last said so */
};

void db_install_deinit(struct db_install *install);
int db_put_install(
	struct db *db, const char *layer, const struct db_install *install, struct error *err);
/* DB_E_NOT_FOUND: the layer has no requirements in it. */
int db_find_install(struct db *db, const char *layer, struct db_install *ret, struct error *err);
/* READY layers of this owner with requirements in them, at most @limit: those whose packages
 * are where @site is a part of come first, then those used last. */
int db_list_siblings(struct db *db, int64_t owner, const char *site, size_t limit,
	struct db_ids *ret, struct error *err);
/* Any state -> DELETING. Environments that use it are deleted with it, or use the layer
 * that superseded it; leases must not (-EBUSY). -ENOENT when there is no such layer. */
int db_condemn_layer(struct db *db, const char *id, struct error *err);
/* After its directory is gone. DB_E_NOT_FOUND. */
int db_delete_layer(struct db *db, const char *id, struct error *err);
/* The READY layer with this key and owner; `leases` is 0, not counted: that would
 * take as long as there are leases. DB_E_NOT_FOUND. */
int db_find_layer_by_key(
	struct db *db, const char *key, int64_t owner, struct db_layer *ret, struct error *err);
int db_find_layer(struct db *db, const char *id, struct db_layer *ret, struct error *err);
/* All READY layers that are not durable yet become durable if they were
 * published before @before. */
int db_mark_durable(struct db *db, int64_t before, struct error *err);

struct db_layers {
	struct db_layer *rows; /* owned; free() */
	size_t count;
};

/* In the order of ids, those after @after, at most @limit; @uid -1: all owners,
 * else those of this uid and those that all share. */
int db_list_layers(struct db *db, const char *after, size_t limit, int64_t uid,
	struct db_layers *ret, struct error *err);
/* All in this state, for recovery. */
int db_list_layers_in_state(
	struct db *db, enum layer_state state, struct db_layers *ret, struct error *err);
/* READY layers without a lease: those superseded, then the least recently used first. */
int db_list_idle_layers(struct db *db, struct db_layers *ret, struct error *err);
/* Of these the superseded ones alone. */
int db_list_superseded_layers(struct db *db, struct db_layers *ret, struct error *err);

/* ---- environments */

/* A new environment with its components and layers, or a known one used once
 * more: `uses` grows by one and `used` becomes @now for it and its layers. The
 * layers keep their order and may repeat; one that is not READY is -ENOENT. */
int db_use_environment(struct db *db, const char *hash, int64_t owner,
	const struct db_component *components, size_t component_count, const char *const *layer_ids,
	size_t layer_count, int64_t now, struct error *err);
/* DB_E_NOT_FOUND. @prefix is a hash or the beginning of one; two that fit are
 * DB_E_EXISTS. @uid as in lists. */
int db_find_environment(struct db *db, const char *prefix, int64_t uid, struct db_environment *ret,
	struct error *err);

struct db_environments {
	struct db_environment *rows; /* owned; free() */
	size_t count;
};

/* @after is "<hash>" or "<hash>/<owner>" as the last row was; "" for all. */
int db_list_environments(struct db *db, const char *after, size_t limit, int64_t uid,
	struct db_environments *ret, struct error *err);

/* The latest used first. */
int db_list_latest_environments(
	struct db *db, size_t limit, int64_t uid, struct db_environments *ret, struct error *err);

struct db_components {
	struct db_component *rows; /* owned; db_components_deinit() */
	size_t count;
};

void db_components_deinit(struct db_components *components);
int db_list_components(struct db *db, const char *hash, int64_t owner, struct db_components *ret,
	struct error *err);

int db_list_environment_layers(
	struct db *db, const char *hash, int64_t owner, struct db_ids *ret, struct error *err);
/* Forgets environments not used since @before that nobody leases. The others go
 * with their layers; this is for those that have none. */
int db_trim_environments(struct db *db, int64_t before, struct error *err);

/* ---- leases */

/* With the layers it holds, in this order. DB_E_EXISTS: id, or (uid, request_id),
 * is taken. -ENOENT: a layer is not READY. */
int db_add_lease(struct db *db, const struct db_lease *lease, const char *const *layer_ids,
	size_t layer_count, struct error *err);
/* DB_E_NOT_FOUND. Its layers and artifacts get @now as the time of their last use. */
int db_delete_lease(struct db *db, const char *id, int64_t now, struct error *err);
int db_find_lease(struct db *db, const char *id, struct db_lease *ret, struct error *err);
/* By (uid, request_id). DB_E_NOT_FOUND. */
int db_find_lease_by_request(struct db *db, uint32_t uid, const char *request_id,
	struct db_lease *ret, struct error *err);
int db_set_lease_expiry(
	struct db *db, const char *id, int64_t expires, struct error *err); /* DB_E_NOT_FOUND */
int db_list_lease_layers(struct db *db, const char *id, struct db_ids *ret, struct error *err);

struct db_leases {
	struct db_lease *rows; /* owned; free() */
	size_t count;
};

int db_list_leases(struct db *db, const char *after, size_t limit, int64_t uid,
	struct db_leases *ret, struct error *err);

/* The interpreter that was found for this lease, and its PYTHONHOME, "" for none; once. */
int db_add_lease_interpreter(
	struct db *db, const char *lease, const char *path, const char *home, struct error *err);
/* The texts are the caller's. DB_E_NOT_FOUND. */
int db_find_lease_interpreter(
	struct db *db, const char *lease, char **path, char **home, struct error *err);

/* ---- artifacts: content that a user has presented, and that is kept */

struct db_artifact {
	char digest[SHA256_HEX_SIZE];
	uint32_t uid;
	uint64_t bytes;
	bool durable;
	int64_t created, used;
};

/* Not durable, and used when it was created. DB_E_EXISTS. */
int db_add_artifact(struct db *db, const struct db_artifact *artifact, struct error *err);
/* All three: DB_E_NOT_FOUND. */
int db_use_artifact(
	struct db *db, const char *digest, uint32_t uid, int64_t now, struct error *err);
int db_delete_artifact(struct db *db, const char *digest, uint32_t uid, struct error *err);
int db_find_artifact(struct db *db, const char *digest, uint32_t uid, struct db_artifact *ret,
	struct error *err);
/* Those created before @before become durable. */
int db_mark_artifacts_durable(struct db *db, int64_t before, struct error *err);

struct db_artifacts {
	struct db_artifact *rows; /* owned; free() */
	size_t count;
};

/* @after is "<digest>/<uid>" as the last row was; "" for all. @uid as in lists. */
int db_list_artifacts(struct db *db, const char *after, size_t limit, int64_t uid,
	struct db_artifacts *ret, struct error *err);
/* Those that no lease keeps, least recently used first. */
int db_list_idle_artifacts(struct db *db, struct db_artifacts *ret, struct error *err);

/* This lease keeps this artifact of its uid, as @name, which it has only once. -ENOENT:
 * there is none. */
int db_add_lease_artifact(
	struct db *db, const char *lease, const char *name, const char *digest, struct error *err);

struct db_lease_artifacts {
	struct db_lease_artifact {
		char *name; /* owned */
		char digest[SHA256_HEX_SIZE];
	} * rows; /* owned; db_lease_artifacts_deinit() */
	size_t count;
};

void db_lease_artifacts_deinit(struct db_lease_artifacts *artifacts);
/* In the order of names. */
int db_list_lease_artifacts(
	struct db *db, const char *lease, struct db_lease_artifacts *ret, struct error *err);

/* ---- totals */

struct db_totals {
	uint64_t environments, layers, leases; /* layers: READY only */
	uint64_t layer_bytes; /* of READY layers */
	uint64_t leased_bytes; /* of these and of artifacts, what a lease keeps */
	uint64_t artifacts, artifact_bytes;
};

int db_get_totals(struct db *db, struct db_totals *ret, struct error *err);
