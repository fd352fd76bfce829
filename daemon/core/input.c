/*
 *	locate -> is the digest known for this file and reader? --yes--> digested
 *	             | no
 *	             +- the same file is being made into the same thing: join
 *	             +- a file of the same size is being made, its digest still unknown:
 *	             |  wait for that, then look again
 *	             +- nothing known has this size: make, digest meanwhile
 *	             +- else digest first -> digested
 *
 *	an artifact that was uploaded -> digested
 *
 *	digested -> the layer is READY: found
 *	       -> it is being made: join
 *	       -> as above, a file of the same size: wait, then look again
 *	       -> make
 *
 *	digested, only looked for -> the layer is READY, or not
 *
 *	the layer is there -> if it is to be kept: it is an artifact already, or becomes one
 *
 * Every step either goes on at once or returns INPUT_E_LATER with exactly one wait
 * under way; whatever ends the wait calls resume(), which is the only caller of done().
 */
#include "daemon/core/input.h"

#include <errno.h>
#include <stdio.h>
#include "base/clock.h"
#include "proto/hash.h"
#include "proto/spec.h"

static int go_on_keyed(struct input *input, struct error *err);
static int go_on_located(struct input *input, struct error *err);

static void resume(struct input *input, int r, const struct error *err)
{
	if (r == INPUT_E_LATER)
		return;
	input->done(input, r ? err : NULL);
}

/* ---- with a layer */

static void pin_artifact(struct input *input, const char *digest)
{
	artifact_format_name(digest, input->peer->identity.uid, input->pinned);
	pins_add(artifacts_pins(input->artifacts), input->pinned);
}

static void on_kept(struct creation_waiter *waiter, const struct error *err)
{
	struct input *input = container_of(waiter, struct input, waiter);

	input->is_being_kept = false;
	if (!err)
		pin_artifact(input, input->layer.digest);
	resume(input, err ? err->r : 0, err);
}

static int keep(struct input *input, struct error *err)
{
	struct db_artifact known;
	struct keeping *keeping;
	int r;

	r = artifacts_use(
		input->artifacts, input->peer->identity.uid, input->layer.digest, &known, err);
	if (r == 0)
		pin_artifact(input, input->layer.digest);
	if (r != ARTIFACTS_E_NOT_FOUND)
		return r;
	keeping = artifacts_keep(
		input->artifacts, input->layer.digest, input->path, &input->file, input->peer);
	input->has_waited = true;
	input->is_being_kept = true;
	input->waiter.done = on_kept;
	creation_join(keeping_creation(keeping), &input->waiter);
	return INPUT_E_LATER;
}

static int ready(struct input *input, enum input_origin origin, struct error *err)
{
	input->origin = origin;
	input->is_ready = true;
	pins_add(layers_pins(input->layers), input->layer.id);
	return input->keep && !input->only_look && !*input->pinned ? keep(input, err) : 0;
}

static struct layers_want want_of(const struct input *input)
{
	return (struct layers_want){
		.layer = input->kind,
		.name = input->kind == JOB_LAYER_ARCHIVE ? NULL : input->name,
		.path = input->path,
		.peer = input->peer,
		.file = input->file,
		.compile = input->compile,
		.digest = *input->digest ? input->digest : NULL,
		.key = *input->key ? input->key : NULL,
		.owner = core_owner(input->core, input->peer->identity.uid),
	};
}

/* ---- waiting for a layer */

static void on_layer(struct creation_waiter *waiter, const struct error *err)
{
	struct input *input = container_of(waiter, struct input, waiter);
	struct making *making = STEAL(input->making);
	struct error failed = { 0 };
	int r;

	if (err) {
		resume(input, err->r, err);
		return;
	}
	input->layer = *making_layer(making);
	r = ready(input, input->origin, &failed);
	resume(input, r, &failed);
}

static int join(struct input *input, struct making *making, enum input_origin origin)
{
	input->has_waited = true;
	input->joined_us = clock_now_us();
	input->origin = origin;
	input->making = making;
	input->waiter.done = on_layer;
	creation_join(making_creation(making), &input->waiter);
	return INPUT_E_LATER;
}

/* Handed to the worker open: there is nobody as whom it could be opened. */
static int open_artifact(struct input *input, struct layers_want *want, struct error *err)
{
	struct db_artifact artifact = { .uid = input->peer->identity.uid };

	memcpy(artifact.digest, input->digest, sizeof(artifact.digest));
	want->has_source = true;
	return artifacts_open(input->artifacts, &artifact, &want->source_fd, &want->file, err);
}

static int make(struct input *input, struct error *err)
{
	struct layers_want want = want_of(input);
	int r;

	if (*input->pinned) {
		r = open_artifact(input, &want, err);
		if (r)
			return r;
	}
	return join(input, layers_make(input->layers, &want), INPUT_MADE);
}

/* ---- waiting for somebody else's digest */

static void on_keyed(struct layers_key_waiter *waiter)
{
	struct input *input = container_of(waiter, struct input, key_waiter);
	struct error err = { 0 };
	int r;

	r = *input->key ? go_on_keyed(input, &err) : go_on_located(input, &err);
	resume(input, r, &err);
}

static int wait_for_key(struct input *input, struct making *making)
{
	input->has_waited = true;
	input->key_waiter.keyed = on_keyed;
	making_wait_for_key(making, &input->key_waiter);
	return INPUT_E_LATER;
}

/* ---- with a digest */

static int go_on_keyed(struct input *input, struct error *err)
{
	int64_t owner = core_owner(input->core, input->peer->identity.uid);
	struct making *making;
	int r;

	r = db_find_layer_by_key(input->core->db, input->key, owner, &input->layer, err);
	if (r == 0)
		return ready(input, INPUT_FOUND, err);
	if (r < 0 || input->only_look)
		return r < 0 ? r : 0;
	making = layers_find_making(input->layers, input->key, owner);
	if (making)
		return join(input, making, INPUT_JOINED);
	making = layers_find_making_of_size(input->layers, input->file.size);
	if (making)
		return wait_for_key(input, making);
	return make(input, err);
}

/* input->digest is there. */
static int digested(struct input *input, struct error *err)
{
	struct hash_layer what = {
		.layer = input->kind,
		.name = input->kind == JOB_LAYER_ARCHIVE ? NULL : input->name,
		.digest = input->digest,
		.compile = input->compile,
	};

	hash_layer_key(&what, input->key);
	return go_on_keyed(input, err);
}

/* ---- waiting for a digest */

static void on_digest(struct creation_waiter *waiter, const struct error *err)
{
	struct input *input = container_of(waiter, struct input, waiter);
	struct digesting *digesting = STEAL(input->digesting);
	struct error failed = { 0 };
	int r;

	if (err) {
		resume(input, err->r, err);
		return;
	}
	snprintf(input->digest, sizeof(input->digest), "%s", digesting_sha256(digesting));
	r = digested(input, &failed);
	resume(input, r, &failed);
}

static int compute(struct input *input, bool may_be_directory)
{
	input->has_waited = true;
	input->digesting = digests_compute(
		input->digests, input->path, &input->file, input->peer, may_be_directory);
	input->waiter.done = on_digest;
	creation_join(digesting_creation(input->digesting), &input->waiter);
	return INPUT_E_LATER;
}

/* ---- with a file */

static int go_on_located(struct input *input, struct error *err)
{
	struct layers_want want;
	struct making *making;
	bool is_new;
	int r;

	r = digests_find(input->digests, &input->file, input->peer->reader, input->digest, err);
	if (r == 0)
		return digested(input, err);
	if (r < 0)
		return r;
	input->digest[0] = 0;
	if (input->only_look)
		return compute(input, false);
	want = want_of(input);
	making = layers_find_making_from(input->layers, &want);
	if (making)
		return join(input, making, INPUT_JOINED);
	making = layers_find_making_of_size(input->layers, input->file.size);
	if (making)
		return wait_for_key(input, making);
	r = digests_is_new_size(input->digests, input->file.size, &is_new, err);
	if (r)
		return r;
	return is_new ? make(input, err) : compute(input, false);
}

static int located(struct input *input, enum fs_type type, struct error *err)
{
	int r;

	input->is_directory = type == FS_DIRECTORY;
	input->kind = spec_layer_kind(input->name, input->is_directory);
	r = spec_check_kind(input->path, input->kind, input->keep, err);
	if (r)
		return r;
	/* The digest of a directory is never known beforehand; and a worker has the
	 * words for a directory that was given as an archive. */
	if (input->is_directory)
		return compute(input, input->name != NULL);
	return go_on_located(input, err);
}

static void on_located(struct locate *locate, size_t index, const struct fs_identity *file,
	enum fs_type type, const struct error *err)
{
	struct input *input = container_of(locate, struct input, locate);
	struct error failed = { 0 };
	int r;

	if (err) {
		resume(input, err->r, err);
		return;
	}
	input->file = *file;
	r = located(input, type, &failed);
	resume(input, r, &failed);
}

struct input *inputs_new(const struct input *common, const struct spec *spec, size_t *count)
{
	struct input *inputs;
	size_t i;

	*count = spec->archive_count + spec->file_count;
	inputs = new0_array(struct input, *count);
	for (i = 0; i < *count; i++) {
		bool is_archive = i < spec->archive_count;
		size_t j = is_archive ? i : i - spec->archive_count;

		inputs[i] = *common;
		inputs[i].path = is_archive ? spec->archives[j].path : spec->files[j].path;
		inputs[i].name = is_archive ? NULL : spec->files[j].name;
		inputs[i].compile = spec->compile;
		inputs[i].keep = spec->worker == SPEC_WORKER_DOCKER;
	}
	return inputs;
}

void input_prepare(struct input *input)
{
	input->locate = (struct locate){
		.paths = &input->path,
		.path_count = spec_get_digest(input->path) ? 0 : 1,
		.peer = input->peer,
		.done = on_located,
	};
}

static int use_artifact(struct input *input, const char *digest, struct error *err)
{
	struct db_artifact artifact;
	int r;

	r = artifacts_use(input->artifacts, input->peer->identity.uid, digest, &artifact, err);
	if (r == ARTIFACTS_E_NOT_FOUND)
		return artifact_fail_missing(err, digest);
	if (r)
		return r;
	pin_artifact(input, digest);
	input->kind = spec_layer_kind(input->name, false);
	input->file.size = artifact.bytes;
	snprintf(input->digest, sizeof(input->digest), "%s", digest);
	return digested(input, err);
}

int input_begin(struct input *input, struct error *err)
{
	const char *digest = spec_get_digest(input->path);
	enum fs_type type;
	size_t index;
	int r;

	if (digest)
		return use_artifact(input, digest, err);
	r = locate_begin(input->core, &input->locate, &index, &input->file, &type, err);
	if (r == LOCATE_E_LATER) {
		input->has_waited = true;
		return INPUT_E_LATER;
	}
	return r ? r : located(input, type, err);
}

void input_leave(struct input *input)
{
	locate_cancel(&input->locate);
	creation_leave(&input->waiter);
	layers_key_waiter_leave(&input->key_waiter);
	input->making = NULL;
	input->digesting = NULL;
	input->is_being_kept = false;
	if (input->is_ready)
		pins_remove(layers_pins(input->layers), input->layer.id);
	input->is_ready = false;
	if (*input->pinned)
		pins_remove(artifacts_pins(input->artifacts), input->pinned);
	input->pinned[0] = 0;
}

struct job_progress input_progress(const struct input *input)
{
	if (input->making)
		return making_progress(input->making);
	return (struct job_progress){
		.phase = input->digesting || input->is_being_kept ? JOB_PHASE_DIGEST
								  : JOB_PHASE_WAITING,
	};
}
