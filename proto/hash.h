#pragma once
/*
 * Identity: layer keys, dependency hashes, and what tells whether a retry is the
 * same request. Pure.
 *
 * Encoding, for all of them: SHA-256 over a sequence of fields, each its length
 * (8 bytes, little-endian) and its bytes; the first names the kind and version of
 * what follows. A change of what is encoded gets a new version; a field that may be
 * absent stands at the end, and is left out then.
 */
#include "base/sha256.h"
#include "proto/spec.h"

/* What decides over a layer's content. */
struct hash_layer {
	enum job_layer layer;
	const char *name; /* of files and directories; else NULL */
	const char *digest; /* of the artifact, hex */
	enum job_compile compile; /* of archives */
};

void hash_layer_key(const struct hash_layer *layer, char ret[SHA256_HEX_SIZE]);

const char *hash_layer_kind(enum job_layer layer); /* "archive", … */

/* What decides over what an installer makes. */
struct hash_install {
	const struct spec *spec; /* with requirements */
	const char *digest; /* of the requirements and their packages, hex */
	bool use_uv;
	const char *archive_key; /* of the layer that the interpreter is in; NULL: on the host */
	const char *interpreter; /* where it is; in an archive it does not matter where that is */
	const struct job_python *python; /* who it is */
};

/* Who installs: uv where it may be used, unless the requirements say what only pip heeds or
 * the interpreter needs a PYTHONHOME. */
bool hash_uses_uv(bool may_use_uv, bool needs_pip, const char *home);

/* The same on every host. */
void hash_requirements(const struct hash_install *install, char ret[SHA256_HEX_SIZE]);
/* The layer's key: scripts begin with where the interpreter is on this host. */
void hash_requirements_layer(
	const char *requirements, const char *python_path, char ret[SHA256_HEX_SIZE]);

/* One part of a dependency hash, for people and for comparing. */
struct hash_component {
	const char *kind; /* static */
	char *name, *value; /* owned */
};

struct hash_components {
	struct hash_component *rows; /* owned */
	size_t count, allocated;
};

void hash_components_deinit(struct hash_components *components);

/* An archive or Python file, hex. */
struct hash_artifact {
	const char *key; /* of its layer */
	const char *digest;
};

/* Requirements; hex, but the specifiers. */
struct hash_required {
	/* hash_requirements(); NULL when it is not known for which Python: what hash_environment()
	 * computes then is none. */
	const char *hash;
	const char *digest; /* of what was read */
	const char *specifiers; /* what they name, a line each; may be NULL */
	bool use_uv;
};

/* All that an environment is made from; borrowed. */
struct hash_parts {
	const struct spec *spec;
	const struct hash_artifact *artifacts; /* in the order of the spec, archives first */
	/* Absolute path of one on the host, and who it is; NULL when it is in an archive or
	 * there is none. */
	const char *interpreter;
	const struct job_python *python;
	const struct hash_required *required; /* NULL: there are no requirements */
	const char *salt; /* keys the hashes that stand for values of variables in components */
};

/* Components: first what the hash is over, then what those were made from. */
void hash_environment(
	const struct hash_parts *parts, char hash[SHA256_HEX_SIZE], struct hash_components *ret);

/* Over everything a request says, who holds the lease included, keyed with @salt. */
void hash_request(const struct spec *spec, const char *salt, char ret[SHA256_HEX_SIZE]);

/* A reader: who could read a file. */
void hash_reader(const struct identity *identity, char ret[SHA256_HEX_SIZE]);
