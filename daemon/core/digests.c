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
#include "daemon/core/flight.h"

#define FINE_GRAIN_NS INT64_C(20000000)
#define COARSE_GRAIN_NS INT64_C(2100000000)

struct digests {
	struct core *core;
	struct flights flights; /* of digesting.flight */
};

struct digesting {
	struct flight flight;
	struct digests *digests;
	char *path; /* owned */
	char reader[SHA256_HEX_SIZE];
	char sha256[SHA256_HEX_SIZE];
};

static void on_over(struct flight *flight)
{
	struct digesting *digesting = container_of(flight, struct digesting, flight);

	flight_deinit(flight);
	free(digesting->path);
	free(digesting);
}

static void on_done(
	struct job *job, int r, const struct job_result *result, const struct error *err)
{
	struct digesting *digesting = container_of(job, struct digesting, flight.job);

	if (r == 0) {
		hex_format(result->sha256, SHA256_SIZE, digesting->sha256);
		if (!result->is_directory)
			digests_learn(digesting->digests, &result->file, digesting->reader,
				digesting->sha256, digesting->flight.begun);
	}
	flight_end(&digesting->flight, r ? err : NULL);
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
	_cleanup_free_ char *source = format_source(path, file, peer, may_be_directory);
	struct flight *flight = flights_find(&digests->flights, source);
	struct digesting *digesting;

	if (flight)
		return container_of(flight, struct digesting, flight);
	digesting = new0(struct digesting);
	digesting->digests = digests;
	digesting->path = text_copy(path);
	memcpy(digesting->reader, peer->reader, sizeof(digesting->reader));
	flight = &digesting->flight;
	flight_init(flight, &digests->flights, source, peer);
	flight->over = on_over;
	flight->job = (struct job){
		.kind = JOB_DIGEST,
		.peer = &flight->identity,
		.digest = {
			.path = digesting->path,
			.expected = *file,
			.may_be_directory = may_be_directory,
		},
		.done = on_done,
	};
	return digesting;
}

struct creation *digesting_creation(struct digesting *digesting)
{
	return digesting->flight.creation;
}

const char *digesting_sha256(const struct digesting *digesting)
{
	return digesting->sha256;
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
	flights_init(&digests->flights, core);
	return digests;
}

struct digests *digests_free(struct digests *digests)
{
	if (!digests)
		return NULL;
	flights_deinit(&digests->flights);
	free(digests);
	return NULL;
}
