#pragma once
/*
 * One artifact of one request on its way to a layer: found on the disk and digested, or
 * among those that were uploaded; and its layer found, awaited or made. Loop thread only.
 */
#include "daemon/core/artifacts.h"
#include "daemon/core/layers.h"
#include "daemon/core/locate.h"
#include "proto/spec.h"

enum input_origin {
	INPUT_FOUND = 1, /* the layer was there */
	INPUT_JOINED, /* it was being made for somebody else */
	INPUT_MADE, /* it was made for this input */
};

struct input {
	/* to be filled by the caller; borrowed while the input is under way */
	struct core *core;
	struct digests *digests;
	struct artifacts *artifacts;
	struct layers *layers;
	const struct peer *peer;
	const char *path; /* as in the spec */
	const char *name; /* of an entry of python.files; NULL: an archive */
	enum job_compile compile;
	bool keep; /* its content becomes an artifact: it may not be a directory */
	bool only_look; /* no layer is made or waited for, and no artifact */
	/* Once, when it took longer than input_begin(). @err NULL: it is ready. */
	void (*done)(struct input *input, const struct error *err);
	void *owner; /* the caller's; not touched */

	/* What it is, once done. */
	char digest[SHA256_HEX_SIZE], key[SHA256_HEX_SIZE]; /* the key of its layer */
	bool is_ready; /* the layer is there; always, unless only looked for */
	struct db_layer layer; /* pinned, while it is ready */
	enum input_origin origin;
	bool is_directory; /* the source */
	bool has_waited; /* for a worker, whatever for */
	uint64_t joined_us; /* when it began to wait for its layer; 0: it was there */

	struct locate locate;
	/* private to input.c */
	struct fs_identity file; /* of an artifact its size alone */
	char pinned[ARTIFACT_NAME_SIZE]; /* the artifact's name; "" while there is none */
	enum job_layer kind;
	struct creation_waiter waiter;
	struct layers_key_waiter key_waiter;
	struct digesting *digesting; /* borrowed; while waiting for a digest */
	struct making *making; /* borrowed; while waiting for a layer */
	bool is_being_kept; /* while waiting for the artifact */
};

enum {
	INPUT_E_LATER = 1, /* done() will come */
};

/* Those of @spec, archives first, each as @common says of all of them; free(). */
struct input *inputs_new(const struct input *common, const struct spec *spec, size_t *count);
/* First; then input->locate may be looked at (locate_look()). */
void input_prepare(struct input *input);
/* 0: it is ready; INPUT_E_LATER; or a failure, and done() will not come. */
int input_begin(struct input *input, struct error *err);
/* Lets go of everything, a pinned layer included. May be called at any time. */
void input_leave(struct input *input);
/* How far it is; JOB_PHASE_WAITING when nothing is known. */
struct job_progress input_progress(const struct input *input);
