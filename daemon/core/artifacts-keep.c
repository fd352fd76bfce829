/*
 * A file of a client becomes an artifact: a worker opens it as the client, copies it into a
 * file without a name, and digests the copy. If that is not what the file's digest was, the
 * file has changed since. As with uploads nothing is left of one that fails.
 */
#include <errno.h>
#include "daemon/core/artifacts-internal.h"

struct keeping {
	struct flight flight;
	struct artifacts *artifacts;
	char digest[SHA256_HEX_SIZE];
	char *path; /* owned */
	struct fs_identity file;
	int fd; /* of the copy; -1 */
};

static void close_copy(struct keeping *keeping)
{
	cleanup_close(&keeping->fd);
	keeping->fd = -1;
}

static void on_over(struct flight *flight)
{
	struct keeping *keeping = container_of(flight, struct keeping, flight);

	flight_deinit(flight);
	free(keeping->path);
	free(keeping);
}

static int add(struct keeping *keeping, const struct job_result *result, struct error *err)
{
	char is[SHA256_HEX_SIZE];

	hex_format(result->sha256, SHA256_SIZE, is);
	if (!text_equal(is, keeping->digest))
		return fail(err, -ESTALE, "SOURCE_CHANGED", "'%s' changed after it was read",
			keeping->path);
	return artifacts_add(keeping->artifacts, keeping->flight.identity.uid, keeping->digest,
		keeping->file.size, keeping->fd, err);
}

static void on_done(
	struct job *job, int r, const struct job_result *result, const struct error *err)
{
	struct keeping *keeping = container_of(job, struct keeping, flight.job);
	struct error failed = r ? *err : (struct error){ 0 };

	if (r == 0)
		add(keeping, result, &failed);
	close_copy(keeping);
	flight_end(&keeping->flight, failed.r ? &failed : NULL);
}

static int submit(struct flight *flight, struct error *err)
{
	struct keeping *keeping = container_of(flight, struct keeping, flight);
	struct core *core = keeping->artifacts->core;
	int r;

	r = tree_make_artifact(core->tree, &keeping->fd, err);
	if (r)
		return r;
	flight->job = (struct job){
		.kind = JOB_DIGEST,
		.peer = &flight->identity,
		.digest = {
			.path = keeping->path,
			.expected = keeping->file,
			.copy = true,
			.copy_fd = keeping->fd,
			.reserve_bytes = core->config.limits.reserve_bytes,
		},
		.done = on_done,
	};
	r = pool_submit(core->pool, &flight->job, err);
	if (r)
		close_copy(keeping);
	return r;
}

struct keeping *artifacts_keep(struct artifacts *artifacts, const char *digest, const char *path,
	const struct fs_identity *file, const struct peer *peer)
{
	char name[ARTIFACT_NAME_SIZE];
	struct flight *flight;
	struct keeping *keeping;

	artifact_format_name(digest, peer->identity.uid, name);
	flight = flights_find(&artifacts->keepings, name);
	if (flight)
		return container_of(flight, struct keeping, flight);
	keeping = new0(struct keeping);
	keeping->artifacts = artifacts;
	memcpy(keeping->digest, digest, sizeof(keeping->digest));
	keeping->path = text_copy(path);
	keeping->file = *file;
	keeping->fd = -1;
	flight_init(&keeping->flight, &artifacts->keepings, name, peer);
	keeping->flight.submit = submit;
	keeping->flight.over = on_over;
	return keeping;
}

struct creation *keeping_creation(struct keeping *keeping)
{
	return keeping->flight.creation;
}
