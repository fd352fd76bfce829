/*
 * A file of a client becomes an artifact: a worker opens it as the client, copies it into a
 * file without a name, and digests the copy. If that is not what the file's digest was, the
 * file has changed since. As with uploads nothing is left of one that fails.
 */
#include <errno.h>
#include "daemon/core/artifacts-internal.h"

struct keeping {
	struct map_node node; /* artifacts.keepings */
	struct artifacts *artifacts;
	struct creation *creation; /* owned */
	char name[ARTIFACT_NAME_SIZE], digest[SHA256_HEX_SIZE];
	char *path;
	struct fs_identity file;
	struct identity identity;
	struct job job;
	int fd; /* of the copy */
	struct timer failed_early;
	struct error err;
};

static void close_copy(struct keeping *keeping)
{
	cleanup_close(&keeping->fd);
	keeping->fd = -1;
}

static void keeping_free(struct keeping *keeping)
{
	map_remove(&keeping->artifacts->keepings, &keeping->node);
	timer_clear(&keeping->failed_early);
	creation_free(keeping->creation);
	identity_deinit(&keeping->identity);
	close_copy(keeping);
	free(keeping->path);
	free(keeping);
}

static void finish(struct keeping *keeping)
{
	close_copy(keeping);
	if (!creation_finish(keeping->creation, !keeping->err.r))
		return;
	map_remove(&keeping->artifacts->keepings, &keeping->node);
	creation_announce(keeping->creation, keeping->err.r ? &keeping->err : NULL);
	keeping_free(keeping);
}

static void on_failed_early(struct timer *timer)
{
	finish(container_of(timer, struct keeping, failed_early));
}

static int add(struct keeping *keeping, const struct job_result *result, struct error *err)
{
	char is[SHA256_HEX_SIZE];

	hex_format(result->sha256, SHA256_SIZE, is);
	if (!text_equal(is, keeping->digest))
		return fail(err, -ESTALE, "SOURCE_CHANGED", "'%s' changed after it was read",
			keeping->path);
	return artifacts_add(keeping->artifacts, keeping->identity.uid, keeping->digest,
		keeping->file.size, keeping->fd, err);
}

static void on_done(
	struct job *job, int r, const struct job_result *result, const struct error *err)
{
	struct keeping *keeping = container_of(job, struct keeping, job);

	if (r)
		keeping->err = *err;
	else
		add(keeping, result, &keeping->err);
	finish(keeping);
}

static int start(struct keeping *keeping, struct error *err)
{
	struct core *core = keeping->artifacts->core;
	int r;

	r = tree_make_artifact(core->tree, &keeping->fd, err);
	if (r)
		return r;
	keeping->job = (struct job){
		.kind = JOB_DIGEST,
		.peer = &keeping->identity,
		.digest = {
			.path = keeping->path,
			.expected = keeping->file,
			.copy = true,
			.copy_fd = keeping->fd,
			.reserve_bytes = core->config.limits.reserve_bytes,
		},
		.done = on_done,
	};
	return pool_submit(core->pool, &keeping->job, err);
}

static void work_start(void *data)
{
	struct keeping *keeping = data;

	keeping->err = (struct error){ 0 };
	if (start(keeping, &keeping->err))
		timer_set(keeping->artifacts->core->watch, &keeping->failed_early, 0);
}

static void work_stop(void *data)
{
	struct keeping *keeping = data;

	pool_cancel(keeping->artifacts->core->pool, &keeping->job);
}

struct keeping *artifacts_keep(struct artifacts *artifacts, const char *digest, const char *path,
	const struct fs_identity *file, const struct peer *peer)
{
	static const struct creation_work work = { work_start, work_stop };
	char name[ARTIFACT_NAME_SIZE];
	struct map_node *node;
	struct keeping *keeping;

	artifact_format_name(digest, peer->identity.uid, name);
	node = map_find(&artifacts->keepings, name);
	if (node)
		return container_of(node, struct keeping, node);
	keeping = new0(struct keeping);
	keeping->artifacts = artifacts;
	keeping->creation = creation_new(&work, keeping);
	memcpy(keeping->name, name, sizeof(name));
	memcpy(keeping->digest, digest, sizeof(keeping->digest));
	keeping->path = text_copy(path);
	keeping->file = *file;
	identity_copy(&keeping->identity, &peer->identity);
	keeping->fd = -1;
	keeping->failed_early.fired = on_failed_early;
	map_add(&artifacts->keepings, &keeping->node, keeping->name);
	return keeping;
}

struct creation *keeping_creation(struct keeping *keeping)
{
	return keeping->creation;
}
