/*
 * A file that changes within the grain of its file system's clock keeps its times.
 * So a digest is only remembered for a file whose last change lies further back
 * than that grain from the moment when we began to read it: then any change that we
 * did not see came later, and shows in its ctime. A time with a fraction of a second
 * tells that the grain is fine (a few milliseconds, the kernel's tick); one without
 * may come from a file system that keeps whole seconds, or two.
 */
#include "daemon/core/digests.h"

#include <stdio.h>
#include "base/clock.h"
#include "base/map.h"

#define FINE_GRAIN_NS INT64_C(20000000)
#define COARSE_GRAIN_NS INT64_C(2100000000)

struct digests {
	struct core *core;
	struct map by_source; /* of digesting.node */
};

struct digesting {
	struct map_node node; /* digests.by_source */
	struct digests *digests;
	struct creation *creation; /* owned */
	char *source, *path;
	struct identity identity;
	char reader[SHA256_HEX_SIZE];
	char sha256[SHA256_HEX_SIZE];
	bool is_directory;
	int64_t begun;
	struct job job;
	struct timer failed_early;
	struct error err;
};

static void digesting_free(struct digesting *digesting)
{
	map_remove(&digesting->digests->by_source, &digesting->node);
	timer_clear(&digesting->failed_early);
	creation_free(digesting->creation);
	identity_deinit(&digesting->identity);
	free(digesting->source);
	free(digesting->path);
	free(digesting);
}

static void finish(struct digesting *digesting)
{
	if (!creation_finish(digesting->creation, !digesting->err.r))
		return;
	map_remove(&digesting->digests->by_source, &digesting->node);
	creation_announce(digesting->creation, digesting->err.r ? &digesting->err : NULL);
	digesting_free(digesting);
}

static void on_failed_early(struct timer *timer)
{
	finish(container_of(timer, struct digesting, failed_early));
}

static void on_done(
	struct job *job, int r, const struct job_result *result, const struct error *err)
{
	struct digesting *digesting = container_of(job, struct digesting, job);

	if (r) {
		digesting->err = *err;
	} else {
		hex_format(result->sha256, SHA256_SIZE, digesting->sha256);
		digesting->is_directory = result->is_directory;
		if (!result->is_directory)
			digests_learn(digesting->digests, &result->file, digesting->reader,
				digesting->sha256, digesting->begun);
	}
	finish(digesting);
}

static void work_start(void *data)
{
	struct digesting *digesting = data;
	struct core *core = digesting->digests->core;

	digesting->err = (struct error){ 0 };
	digesting->begun = clock_unix_ns();
	if (pool_submit(core->pool, &digesting->job, &digesting->err))
		timer_set(core->watch, &digesting->failed_early, 0);
}

static void work_stop(void *data)
{
	struct digesting *digesting = data;

	pool_cancel(digesting->digests->core->pool, &digesting->job);
}

static char *format_source(const char *path, const struct fs_identity *identity,
	const struct peer *peer, bool may_be_directory)
{
	_cleanup_free_ char *file = fs_identity_format(identity);

	/* A directory is more than its inode: its path must be the same as well. */
	return text_format("%s/%s/%s", file, peer->reader, may_be_directory ? path : "");
}

struct digesting *digests_compute(struct digests *digests, const char *path,
	const struct fs_identity *file, const struct peer *peer, bool may_be_directory)
{
	static const struct creation_work work = { work_start, work_stop };
	_cleanup_free_ char *source = format_source(path, file, peer, may_be_directory);
	struct map_node *node = map_find(&digests->by_source, source);
	struct digesting *digesting;

	if (node)
		return container_of(node, struct digesting, node);
	digesting = new0(struct digesting);
	digesting->digests = digests;
	digesting->creation = creation_new(&work, digesting);
	digesting->source = STEAL(source);
	digesting->path = text_copy(path);
	identity_copy(&digesting->identity, &peer->identity);
	memcpy(digesting->reader, peer->reader, sizeof(digesting->reader));
	digesting->failed_early.fired = on_failed_early;
	digesting->job = (struct job){
		.kind = JOB_DIGEST,
		.peer = &digesting->identity,
		.digest = {
			.path = digesting->path,
			.expected = *file,
			.may_be_directory = may_be_directory,
		},
		.done = on_done,
	};
	map_add(&digests->by_source, &digesting->node, digesting->source);
	return digesting;
}

struct creation *digesting_creation(struct digesting *digesting)
{
	return digesting->creation;
}

const char *digesting_sha256(const struct digesting *digesting)
{
	return digesting->sha256;
}

bool digesting_is_directory(const struct digesting *digesting)
{
	return digesting->is_directory;
}

int digests_find(struct digests *digests, const struct fs_identity *file, const char *reader,
	char ret[SHA256_HEX_SIZE], struct error *err)
{
	return db_find_digest(digests->core->db, file, reader, ret, err);
}

bool digests_may_keep(const struct fs_identity *file, int64_t begun)
{
	bool is_fine = file->mtime_ns % 1000000000 && file->ctime_ns % 1000000000;

	return file->ctime_ns <= begun - (is_fine ? FINE_GRAIN_NS : COARSE_GRAIN_NS);
}

void digests_learn(struct digests *digests, const struct fs_identity *file, const char *reader,
	const char *sha256, int64_t begun)
{
	struct db_digest digest = { .file = *file };

	if (!digests_may_keep(file, begun))
		return;
	snprintf(digest.reader, sizeof(digest.reader), "%s", reader);
	snprintf(digest.sha256, sizeof(digest.sha256), "%s", sha256);
	/* Only a cache: not knowing it costs a computation. */
	db_put_digest(digests->core->db, &digest, clock_unix_ms(), NULL);
}

int digests_is_new_size(struct digests *digests, uint64_t size, bool *ret, struct error *err)
{
	bool is_known;
	int r;

	r = db_has_artifact_size(digests->core->db, size, &is_known, err);
	*ret = !is_known;
	return r;
}

struct digests *digests_new(struct core *core)
{
	struct digests *digests = new0(struct digests);

	digests->core = core;
	return digests;
}

struct digests *digests_free(struct digests *digests)
{
	if (!digests)
		return NULL;
	map_deinit(&digests->by_source);
	free(digests);
	return NULL;
}
