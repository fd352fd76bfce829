/*
 *	begin -> the user has it already: no bytes are wanted
 *	      -> a file without a name, a worker that writes into it and digests
 *	bytes -> the worker's pipe; what that does not take waits (full, drained)
 *	end, and the worker's answer -> is the digest the one announced? -> an artifact
 *
 * Of several that bring the same for the same user only one has a worker: two TaskManagers
 * of a host send one bundle at the same time. The others' pipes fill, and their clients wait.
 * When the one is over, however it went, the others look again: is it there, has somebody
 * else begun, or is it their turn? They do so from a timer, because the one may have ended
 * inside the call of a client.
 *
 * Whatever goes wrong in between, by whomever: the worker is stopped, and the file is gone
 * with the last descriptor of it, which is this side's or the worker's.
 *
 * The worker is told how many bytes there are, and ends with the last: so neither an end of
 * the pipe, nor a second message to the worker, is needed.
 */
#include "daemon/core/uploads.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/list.h"
#include "base/log.h"
#include "daemon/core/tally.h"
#include "daemon/jobs/feed.h"

struct uploads {
	struct core *core;
	struct artifacts *artifacts; /* borrowed */
	struct list list; /* of upload_work.link */
	struct tally by_uid;
	uint64_t outstanding; /* bytes that have not come yet, of all that have begun */
};

struct upload_work {
	struct list link; /* uploads.list */
	struct uploads *uploads;
	struct upload *upload; /* NULL: given up, only the job is still to end */
	char id[LAYER_ID_LENGTH + 1];
	char digest[SHA256_HEX_SIZE];
	uid_t uid;
	uint64_t size, came;
	bool has_begun; /* else another one brings the same */
	bool is_ended, is_written;
	uint8_t is[SHA256_SIZE]; /* once it is written */
	struct feed feed;
	struct timer stalled, look_again;
	struct job job;
	int pipe_fd, file_fd; /* the worker's end, and the file */
	int64_t started;
};

static bool brings_the_same(const struct upload_work *a, const struct upload_work *b)
{
	return a != b && a->uid == b->uid && text_equal(a->digest, b->digest);
}

static void wake_others(const struct upload_work *work)
{
	list_for_each (link, &work->uploads->list) {
		struct upload_work *other = container_of(link, struct upload_work, link);

		if (!other->has_begun && brings_the_same(work, other))
			timer_set(work->uploads->core->watch, &other->look_again, 0);
	}
}

static bool somebody_has_begun(const struct upload_work *work)
{
	list_for_each (link, &work->uploads->list) {
		struct upload_work *other = container_of(link, struct upload_work, link);

		if (other->has_begun && other->upload && brings_the_same(work, other))
			return true;
	}
	return false;
}

static void work_free(struct upload_work *work)
{
	list_remove(&work->link);
	tally_remove(&work->uploads->by_uid, work->uid);
	if (work->has_begun)
		work->uploads->outstanding -= work->size - work->came;
	timer_clear(&work->stalled);
	timer_clear(&work->look_again);
	feed_close(&work->feed);
	cleanup_close(&work->pipe_fd);
	cleanup_close(&work->file_fd);
	free(work);
}

/* Nothing is left of it but a job that ends later. */
static void give_up(struct upload_work *work)
{
	struct uploads *uploads = work->uploads;

	work->upload->work = NULL;
	work->upload = NULL;
	uploads->core->counters.uploads_failed++;
	timer_clear(&work->stalled);
	timer_clear(&work->look_again);
	feed_close(&work->feed);
	if (work->has_begun)
		wake_others(work);
	if (job_is_in_flight(&work->job))
		pool_cancel(uploads->core->pool, &work->job);
	else
		work_free(work);
}

/* Returns the error's number. */
static int refuse(struct upload_work *work, const struct error *err)
{
	log_info("upload-failed", "uid=%d sha256=%s came=%llu reason=%s text='%s'", (int)work->uid,
		work->digest, (unsigned long long)work->came, err->reason, LOG_TEXT(err->text));
	give_up(work);
	return err->r;
}

static int check_digest(const struct upload_work *work, struct error *err)
{
	char is[SHA256_HEX_SIZE];

	hex_format(work->is, SHA256_SIZE, is);
	if (text_equal(is, work->digest))
		return 0;
	return fail(err, -EINVAL, "ARTIFACT_MISMATCH",
		"the SHA-256 of what was uploaded is %s, and not %s as announced", is,
		work->digest);
}

/* All has come and is written. */
static int finish(struct upload_work *work, struct error *err)
{
	struct uploads *uploads = work->uploads;
	int r;

	r = check_digest(work, err);
	if (r == 0)
		r = artifacts_add(uploads->artifacts, work->uid, work->digest, work->size,
			work->file_fd, err);
	if (r)
		return refuse(work, err);
	uploads->core->counters.uploads++;
	work->upload->work = NULL;
	wake_others(work);
	work_free(work);
	return 0;
}

static void on_done(
	struct job *job, int r, const struct job_result *result, const struct error *err)
{
	struct upload_work *work = container_of(job, struct upload_work, job);
	struct upload *upload = work->upload;
	struct error failed = r ? *err : (struct error){ 0 };

	if (!upload) {
		work_free(work);
		return;
	}
	if (r) {
		refuse(work, &failed);
		upload->done(upload, &failed);
		return;
	}
	memcpy(work->is, result->sha256, SHA256_SIZE);
	work->is_written = true;
	if (work->is_ended) {
		r = finish(work, &failed);
		upload->done(upload, r ? &failed : NULL);
	}
}

/* ---- bytes */

static void on_stalled(struct timer *timer)
{
	struct upload_work *work = container_of(timer, struct upload_work, stalled);
	struct upload *upload = work->upload;
	struct error err;

	fail(&err, -ETIME, "UPLOAD_STALLED",
		"nothing came for %u seconds: %llu of %llu bytes of the upload were there",
		work->uploads->core->config.upload_timeout_ms / 1000,
		(unsigned long long)work->came, (unsigned long long)work->size);
	refuse(work, &err);
	upload->done(upload, &err);
}

static void wait_for_client(struct upload_work *work)
{
	struct core *core = work->uploads->core;

	timer_set(core->watch, &work->stalled, core->config.upload_timeout_ms);
}

static void on_drained(struct feed *feed)
{
	struct upload_work *work = container_of(feed, struct upload_work, feed);

	if (!work->is_ended)
		wait_for_client(work);
	work->upload->drained(work->upload);
}

int upload_add(struct upload *upload, const void *data, size_t size, struct error *err)
{
	struct upload_work *work = upload->work;

	if (size > work->size - work->came) {
		fail(err, -EINVAL, "ARTIFACT_MISMATCH",
			"more bytes came than the %llu that were announced",
			(unsigned long long)work->size);
		return refuse(work, err);
	}
	work->came += size;
	if (work->has_begun)
		work->uploads->outstanding -= size;
	feed_add(&work->feed, data, size);
	if (feed_is_full(&work->feed))
		timer_clear(&work->stalled);
	else
		wait_for_client(work);
	return 0;
}

bool upload_is_full(const struct upload *upload)
{
	return upload->work && feed_is_full(&upload->work->feed);
}

int upload_end(struct upload *upload, struct error *err)
{
	struct upload_work *work = upload->work;

	if (work->came < work->size) {
		fail(err, -EINVAL, "ARTIFACT_MISMATCH",
			"only %llu bytes came of the %llu that were announced",
			(unsigned long long)work->came, (unsigned long long)work->size);
		return refuse(work, err);
	}
	timer_clear(&work->stalled);
	work->is_ended = true;
	return work->is_written ? finish(work, err) : UPLOAD_E_LATER;
}

void upload_abandon(struct upload *upload)
{
	struct error err;

	if (!upload->work)
		return;
	fail(&err, -ECANCELED, "CANCELLED", "the client went away");
	refuse(upload->work, &err);
}

/* ---- the beginning */

static int check_limits(
	const struct uploads *uploads, const struct upload *upload, struct error *err)
{
	const struct core_config *config = &uploads->core->config;
	uint64_t count = tally_get(&uploads->by_uid, upload->peer->identity.uid);

	if (config->max_uploads && count >= config->max_uploads)
		return fail(err, -ENOSPC, "TOO_MANY", "uid %d has %llu uploads in flight already",
			(int)upload->peer->identity.uid, (unsigned long long)count);
	if (config->limits.max_bytes && upload->size > config->limits.max_bytes)
		return fail(err, -EFBIG, "LIMIT_EXCEEDED",
			"an upload of %llu bytes is larger than the limit of %llu",
			(unsigned long long)upload->size,
			(unsigned long long)config->limits.max_bytes);
	return 0;
}

static int check_room(const struct uploads *uploads, uint64_t size, struct error *err)
{
	uint64_t reserve = uploads->core->config.limits.reserve_bytes;
	uint64_t room, needed = reserve + uploads->outstanding;
	int r;

	r = tree_free_bytes(uploads->core->tree, &room, err);
	if (r == 0 && (room < needed || room - needed < size))
		r = fail(err, -ENOSPC, "NO_SPACE",
			"the disk has %llu bytes left, and the upload takes %llu beside a reserve "
			"of %llu and %llu of other uploads",
			(unsigned long long)room, (unsigned long long)size,
			(unsigned long long)reserve, (unsigned long long)uploads->outstanding);
	return r;
}

static int start(struct upload_work *work, struct error *err)
{
	struct uploads *uploads = work->uploads;
	struct core *core = uploads->core;
	int r;

	r = check_room(uploads, work->size, err);
	if (r == 0)
		r = tree_make_artifact(core->tree, &work->file_fd, err);
	if (r)
		return r;
	work->has_begun = true;
	uploads->outstanding += work->size - work->came;
	work->job = (struct job){
		.kind = JOB_RECEIVE,
		.receive = { work->pipe_fd, work->file_fd, work->size,
			core->config.limits.reserve_bytes },
		.done = on_done,
	};
	return pool_submit(core->pool, &work->job, err);
}

/* 0: it is there; ARTIFACTS_E_NOT_FOUND. Else a failure. */
static int find(const struct uploads *uploads, uid_t uid, const char *digest, struct error *err)
{
	struct db_artifact known;

	return artifacts_use(uploads->artifacts, uid, digest, &known, err);
}

static int start_or_wait(struct upload_work *work, struct error *err)
{
	return somebody_has_begun(work) ? 0 : start(work, err);
}

static void on_look_again(struct timer *timer)
{
	struct upload_work *work = container_of(timer, struct upload_work, look_again);
	struct upload *upload = work->upload;
	struct error err = { 0 };
	int r;

	r = find(work->uploads, work->uid, work->digest, &err);
	if (r == 0) {
		upload->was_there = true;
		upload->work = NULL;
		work_free(work);
		upload->done(upload, NULL);
		return;
	}
	if (r == ARTIFACTS_E_NOT_FOUND)
		r = start_or_wait(work, &err);
	if (r) {
		refuse(work, &err);
		upload->done(upload, &err);
	}
}

static struct upload_work *work_new(struct uploads *uploads, struct upload *upload)
{
	struct upload_work *work = new0(struct upload_work);

	work->uploads = uploads;
	work->upload = upload;
	memcpy(work->digest, upload->digest, sizeof(work->digest));
	work->uid = upload->peer->identity.uid;
	work->size = upload->size;
	work->feed.drained = on_drained;
	work->stalled.fired = on_stalled;
	work->look_again.fired = on_look_again;
	work->pipe_fd = work->file_fd = -1;
	work->started = clock_unix_ms();
	random_id(work->id, sizeof(work->id) - 1);
	list_add(&uploads->list, &work->link);
	tally_add(&uploads->by_uid, work->uid);
	upload->work = work;
	return work;
}

int upload_begin(struct uploads *uploads, struct upload *upload, struct error *err)
{
	uid_t uid = upload->peer->identity.uid;
	struct upload_work *work;
	int r;

	upload->work = NULL;
	r = find(uploads, uid, upload->digest, err);
	upload->was_there = r == 0;
	if (r == 0)
		return UPLOAD_E_THERE;
	if (r == ARTIFACTS_E_NOT_FOUND)
		r = check_limits(uploads, upload, err);
	if (r)
		return r;
	work = work_new(uploads, upload);
	r = feed_open(&work->feed, uploads->core->watch, &work->pipe_fd, err);
	if (r == 0)
		r = start_or_wait(work, err);
	if (r)
		return refuse(work, err);
	wait_for_client(work);
	return UPLOAD_E_LATER;
}

/* ---- all of them */

void uploads_visit(struct uploads *uploads,
	void (*visit)(const struct upload_info *info, void *data), void *data)
{
	list_for_each (link, &uploads->list) {
		struct upload_work *work = container_of(link, struct upload_work, link);
		struct upload_info info = {
			.id = work->id,
			.digest = work->digest,
			.uid = work->uid,
			.done_bytes = work->came,
			.total_bytes = work->size,
			.started = work->started,
			.pid = job_pid(&work->job),
		};

		visit(&info, data);
	}
}

size_t uploads_count(const struct uploads *uploads)
{
	return list_count(&uploads->list);
}

struct uploads *uploads_new(struct core *core, struct artifacts *artifacts)
{
	struct uploads *uploads = new0(struct uploads);

	uploads->core = core;
	uploads->artifacts = artifacts;
	list_init(&uploads->list);
	return uploads;
}

struct uploads *uploads_free(struct uploads *uploads)
{
	if (!uploads)
		return NULL;
	assert(list_is_empty(&uploads->list));
	tally_deinit(&uploads->by_uid);
	free(uploads);
	return NULL;
}
