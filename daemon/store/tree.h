#pragma once
/*
 * The state directory: layers/ and leases/, each thing in a directory of its
 * own, named by its id, and artifacts/, which are files. Everything is relative to
 * descriptors that are opened once. Loop thread only; only what is quick happens here (making and linking),
 * never anything whose length somebody else decides (removing is a worker's).
 *
 *	<state>/index.db  lock  reserve
 *	<state>/layers/<layer id>/   tree/  manifest
 *	<state>/leases/<lease id>/   work/
 *	<state>/logs/<layer id>      what an installer printed
 *	<state>/artifacts/<sha256>-<uid>
 */
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include "base/error.h"
#include "base/fs.h"
#include "base/identity.h"

struct tree;

enum {
	TREE_E_LOCKED = 1, /* tree_open(): another daemon has this directory */
	TREE_E_EXISTS,
};

/* Makes what is missing (0711 for the state directory and its parts, all
 * owned by this process), takes the lock for as long as it is open. Refuses a
 * directory that is not ours alone to write (-EPERM), or that lies where layers
 * cannot be kept (-EOPNOTSUPP, says why). */
int tree_open(const char *path, struct tree **ret, struct error *err);
struct tree *tree_close(struct tree *tree);
DEFINE_CLEANUP(struct tree *, tree_close);

/* Some megabytes kept aside, so that on a full disk the index can still write down
 * what is collected. tree_open() makes them where there is room. To be spent when
 * the index says -ENOSPC (then tried again), and kept again after a removal;
 * nothing is done while they are there. */
void tree_keep_reserve(struct tree *tree);
bool tree_spend_reserve(struct tree *tree); /* false: there was nothing to spend */

const char *tree_path(const struct tree *tree); /* absolute */
int tree_layers_fd(const struct tree *tree); /* borrowed */
int tree_leases_fd(const struct tree *tree); /* borrowed */

/* Absolute paths, owned by the caller. */
char *tree_layer_path(const struct tree *tree, const char *id); /* …/layers/<id> */
char *tree_lease_path(const struct tree *tree, const char *id); /* …/leases/<id> */
char *tree_artifact_path(const struct tree *tree, const char *name); /* …/artifacts/<name> */

/* An empty directory layers/<id>, mode 0700, and a descriptor of it (the caller
 * closes). TREE_E_EXISTS. */
int tree_make_layer(struct tree *tree, const char *id, int *ret_fd, struct error *err);
/* Descriptor of layers/<id>/tree, for jobs that read it. */
int tree_open_layer_tree(struct tree *tree, const char *id, int *ret_fd, struct error *err);
/* Descriptor of layers/<id>, for a job that lets others in. */
int tree_open_layer(struct tree *tree, const char *id, int *ret_fd, struct error *err);
/* A new, empty logs/<id> that @reader may read, if we may give it to him; a descriptor to
 * write to it, and its absolute path (owned). Old logs go when there are many. */
int tree_make_log(struct tree *tree, const char *id, const struct identity *reader, int *ret_fd,
	char **ret_path, struct error *err);
/* Whether layers/<id>/manifest is there. */
bool tree_has_manifest(struct tree *tree, const char *id);

/* One entry of a lease's working directory. */
struct tree_link {
	const char *target_dir; /* relative, checked: "venv", "models/a" */
	const char *layer_id; /* link to that layer's tree; NULL: an empty directory */
};

/* leases/<id> and its work/, owned by @owner, mode 0700, with the links (parents
 * of a target_dir are made). On failure nothing is left. TREE_E_EXISTS. */
int tree_make_lease(struct tree *tree, const char *id, const struct identity *owner,
	const struct tree_link *links, size_t link_count, struct error *err);
/* Descriptor of leases/<id>/work/<target_dir>, opened without following links, with
 * the rights of whom the lease's directory belongs to. */
int tree_open_lease_directory(
	struct tree *tree, const char *id, const char *target_dir, int *ret_fd, struct error *err);
/* A new file leases/<id>/<name> of these bytes, mode 0400, made by @owner, whose lease
 * it is; nothing that is there is written over (-EEXIST). On failure nothing is left. */
int tree_write_lease_file(struct tree *tree, const char *id, const struct identity *owner,
	const char *name, const void *data, size_t size, struct error *err);
/* The lease's directory, when it is empty of everything (else -ENOTEMPTY); 0 as
 * well when it is gone already. */
int tree_remove_empty_lease(struct tree *tree, const char *id);

/* ---- artifacts */

#define ARTIFACT_GONE_SIZE 16

int tree_artifacts_fd(const struct tree *tree); /* borrowed */
/* A file in artifacts/ that has no name yet, for writing (the caller closes). */
int tree_make_artifact(struct tree *tree, int *ret_fd, struct error *err);
/* Names it. TREE_E_EXISTS. */
int tree_name_artifact(struct tree *tree, int fd, const char *name, struct error *err);
/* For reading (the caller closes), and which file it is. */
int tree_open_artifact(struct tree *tree, const char *name, int *ret_fd, struct fs_identity *ret,
	struct error *err);
/* Lets this user read it as well. */
int tree_allow_artifact(struct tree *tree, const char *name, uid_t uid, struct error *err);
bool tree_has_artifact(struct tree *tree, const char *name, uint64_t bytes);
/* Renames it to what nobody looks for; somebody removes it. */
int tree_condemn_artifact(struct tree *tree, const char *name, char ret[ARTIFACT_GONE_SIZE]);

/* ---- lists */

struct tree_names {
	char **names; /* owned; tree_names_deinit() */
	uid_t *uids; /* owner of each */
	gid_t *gids;
	size_t count;
};

void tree_names_deinit(struct tree_names *names);
/* What is there, whatever its name. For recovery. */
int tree_list_layers(struct tree *tree, struct tree_names *ret, struct error *err);
int tree_list_leases(struct tree *tree, struct tree_names *ret, struct error *err);
int tree_list_artifacts(struct tree *tree, struct tree_names *ret, struct error *err);

/* Bytes an ordinary user may still write on the file system. */
int tree_free_bytes(struct tree *tree, uint64_t *ret, struct error *err);
