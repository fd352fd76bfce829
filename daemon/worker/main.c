/*
 * pyenvd-worker: one blocking piece of work for the daemon, which starts it with one end
 * of a socket as descriptor 3. See proto/worker.proto.
 *
 * Every job goes the same way: sources are opened as the client, while the capabilities
 * for that are still there; then all that is not needed any more is given up
 * (confine.c); then comes the work.
 */
#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include "base/utf8.h"
#include "daemon/worker/channel.h"
#include "daemon/worker/checkpoint.h"
#include "daemon/worker/confine.h"
#include "daemon/worker/copy-tree.h"
#include "daemon/worker/digest.h"
#include "daemon/worker/extract.h"
#include "daemon/worker/locate.h"
#include "daemon/worker/probe.h"
#include "daemon/worker/receive.h"
#include "daemon/worker/remove.h"
#include "daemon/worker/work.h"
#include "proto/wire-file.h"

#define CHANNEL_FD 3
#define MAX_FAILURES 16

/* What is handed over open was looked at by the daemon. */
static int adopt_source(
	struct work *work, const char *path, struct source *source, struct error *err)
{
	int r;

	channel_prepare_shrunk(work->channel, path);
	r = source_adopt(source, work->fds[1], path, err);
	if (r == 0)
		report_opened(work->report, &source->identity);
	return r;
}

static int open_source(struct work *work, const Pyenvd__Worker__Source *from, bool may_be_directory,
	struct source *source, struct error *err)
{
	struct fs_identity expected = { 0 };
	int r;

	wire_file_to(from->expected, &expected);
	channel_prepare_shrunk(work->channel, from->path);
	r = source_open(source, from->path, &work->peer, &expected, may_be_directory, err);
	if (r == 0)
		report_opened(work->report, &source->identity);
	return r;
}

static int run_locate(struct work *work, struct error *err)
{
	const Pyenvd__Worker__Locate *job = work->job->locate;
	Pyenvd__Worker__Located located = PYENVD__WORKER__LOCATED__INIT;
	Pyenvd__Worker__Event event = PYENVD__WORKER__EVENT__INIT;
	Pyenvd__Worker__FileIdentity identity;
	struct worker_locate locate = {
		.paths = job->paths,
		.path_count = job->n_paths,
		.executable = job->executable,
		.peer = &work->peer,
	};
	int r;

	r = worker_locate(&locate, err);
	if (r)
		return r;
	wire_file_from(&locate.identity, &identity);
	located.index = (uint32_t)locate.index;
	located.identity = &identity;
	located.is_directory = locate.is_directory;
	event.event_case = PYENVD__WORKER__EVENT__EVENT_LOCATED;
	event.located = &located;
	channel_send(work->channel, &event);
	return 0;
}

static int run_probe(struct work *work, struct error *err)
{
	const Pyenvd__Worker__Probe *job = work->job->probe;
	const struct confinement confinement = { .acts_as = &work->peer, .writes_fd = -1 };
	Pyenvd__Worker__Probed probed = PYENVD__WORKER__PROBED__INIT;
	Pyenvd__Worker__Event event = PYENVD__WORKER__EVENT__INIT;
	struct probe probe = {
		.path = job->path,
		.home = *job->home ? job->home : NULL,
		.peer = &work->peer,
	};
	int r;

	r = confine(&confinement, err);
	if (r == 0)
		r = channel_keep_running(work->channel, &probe.stop_fd, err);
	if (r == 0)
		r = probe_run(&probe, err);
	if (r)
		return r;
	probed.implementation = probe.implementation;
	probed.version = probe.version;
	probed.abi = probe.abi;
	probed.platform = probe.platform;
	probed.pip = probe.pip;
	probed.needs_home = probe.needs_home;
	event.event_case = PYENVD__WORKER__EVENT__EVENT_PROBED;
	event.probed = &probed;
	channel_send(work->channel, &event);
	return 0;
}

static int digest_source(
	struct work *work, struct source *source, uint8_t digest[SHA256_SIZE], struct error *err)
{
	/* What is in a directory is opened one by one, as the client. */
	const struct confinement confinement = {
		.acts_as = source->is_directory ? &work->peer : NULL,
		.writes_fd = -1,
		.mapped = source->identity.size,
	};
	const Pyenvd__Worker__Digest *job = work->job->digest;
	int r;

	r = confine(&confinement, err);
	if (r == 0 && source->is_directory)
		return digest_directory(source, &work->peer, work->report, digest, err);
	if (r == 0 && job->copy)
		r = source_copy_to(source, work->fds[0], job->reserve_bytes, err);
	if (r == 0 && source->identity.size)
		r = source_map(source, err);
	return r ? r : digest_file(source, work->report, digest, err);
}

static void send_digested(struct work *work, uint8_t digest[SHA256_SIZE],
	Pyenvd__Worker__FileIdentity *identity, bool is_directory)
{
	Pyenvd__Worker__Digested digested = PYENVD__WORKER__DIGESTED__INIT;
	Pyenvd__Worker__Event event = PYENVD__WORKER__EVENT__INIT;

	digested.identity = identity;
	digested.sha256.data = digest;
	digested.sha256.len = SHA256_SIZE;
	digested.is_directory = is_directory;
	event.event_case = PYENVD__WORKER__EVENT__EVENT_DIGESTED;
	event.digested = &digested;
	channel_send(work->channel, &event);
}

static int run_digest(struct work *work, struct error *err)
{
	const Pyenvd__Worker__Digest *job = work->job->digest;
	_cleanup_(source_close) struct source source = SOURCE_INIT;
	Pyenvd__Worker__FileIdentity identity;
	uint8_t digest[SHA256_SIZE];
	int r;

	r = open_source(work, job->source, job->may_be_directory, &source, err);
	if (r == 0)
		r = digest_source(work, &source, digest, err);
	if (r)
		return r;
	wire_file_from(&source.identity, &identity);
	send_digested(work, digest, &identity, source.is_directory);
	return 0;
}

static int run_receive(struct work *work, struct error *err)
{
	const Pyenvd__Worker__Receive *job = work->job->receive;
	const struct confinement confinement = { .writes_fd = -1 };
	uint8_t digest[SHA256_SIZE];
	int r = confine(&confinement, err);

	if (r == 0)
		r = receive(work->fds[0], work->fds[1], job->size, job->reserve_bytes, digest, err);
	if (r == 0)
		send_digested(work, digest, NULL, false);
	return r;
}

static struct extract extract_of(struct work *work, struct source *source)
{
	static const enum extract_kind kinds[] = {
		[PYENVD__WORKER__KIND__KIND_ARCHIVE] = EXTRACT_ARCHIVE,
		[PYENVD__WORKER__KIND__KIND_FILE] = EXTRACT_FILE,
		[PYENVD__WORKER__KIND__KIND_DIRECTORY] = EXTRACT_DIRECTORY,
	};
	static const enum bytecode_mode modes[] = {
		[PYENVD__WORKER__COMPILE__COMPILE_VIRTUALENVS] = BYTECODE_VIRTUALENVS,
		[PYENVD__WORKER__COMPILE__COMPILE_ALWAYS] = BYTECODE_ALWAYS,
		[PYENVD__WORKER__COMPILE__COMPILE_NEVER] = BYTECODE_NEVER,
	};
	const Pyenvd__Worker__Extract *job = work->job->extract;

	return (struct extract){
		.source = source,
		.peer = &work->peer,
		.kind = kinds[job->kind],
		.name = job->name,
		.hash = job->hash,
		.expected_sha256 = job->expected_sha256.len == SHA256_SIZE
			? job->expected_sha256.data
			: NULL,
		.copy_first = job->copy_first,
		.access_all = job->access_all,
		.access_uid = job->access_uid,
		.bytecode = modes[job->compile],
		.limits = work_limits(job->limits),
		.threads = job->threads,
		.directory_fd = work->fds[0],
		.directory = job->directory,
		.header = job->header,
		.report = work->report,
	};
}

static int open_for_extract(struct work *work, struct source *source, struct error *err)
{
	const Pyenvd__Worker__Extract *job = work->job->extract;
	bool is_directory = job->kind == PYENVD__WORKER__KIND__KIND_DIRECTORY;
	struct confinement confinement = { .writes_fd = work->fds[0] };
	int r;

	r = job->source_is_open ? adopt_source(work, job->source->path, source, err)
				: open_source(work, job->source, is_directory, source, err);
	if (r == 0 && is_directory && !source->is_directory)
		r = fail(err, -ESTALE, "SOURCE_CHANGED", "'%s' is no directory any more",
			source->path);
	if (r)
		return r;
	/* What is in a directory is opened one by one, as the client. */
	confinement.acts_as = is_directory ? &work->peer : NULL;
	confinement.mapped = source->identity.size;
	return confine(&confinement, err);
}

static int run_extract(struct work *work, struct error *err)
{
	Pyenvd__Worker__Extracted extracted = PYENVD__WORKER__EXTRACTED__INIT;
	Pyenvd__Worker__Event event = PYENVD__WORKER__EVENT__INIT;
	_cleanup_(source_close) struct source source = SOURCE_INIT;
	struct extract extract;
	int r;

	r = open_for_extract(work, &source, err);
	if (r)
		return r;
	extract = extract_of(work, &source);
	/* Its lock is kept to the end of the process: whoever is told of that, finds it
	 * open. */
	r = extract_run(&extract, err);
	if (r)
		return r;
	utf8_repair(extract.note, strlen(extract.note));
	extracted.bytes = extract.bytes;
	extracted.entries = extract.entries;
	extracted.format = (char *)extract.format;
	extracted.compiled = extract.compiled;
	extracted.note = extract.note;
	event.event_case = PYENVD__WORKER__EVENT__EVENT_EXTRACTED;
	event.extracted = &extracted;
	channel_send(work->channel, &event);
	return 0;
}

static int run_copy(struct work *work, struct error *err)
{
	const struct confinement confinement = {
		.acts_as = &work->peer,
		.writes_fd = work->fds[1],
	};
	int r = confine(&confinement, err);

	if (r == 0)
		r = copy_tree(work->fds[0], work->fds[1], &work->peer, err);
	if (r == 0)
		channel_send_done(work->channel);
	return r;
}

static int run_remove(struct work *work, struct error *err)
{
	const Pyenvd__Worker__Remove *job = work->job->remove;
	Pyenvd__Worker__Removed removed = PYENVD__WORKER__REMOVED__INIT;
	Pyenvd__Worker__Event event = PYENVD__WORKER__EVENT__INIT;
	const struct confinement confinement = {
		.acts_as = job->as_peer ? &work->peer : NULL,
		/* What an installer has left half-made is his. */
		.acts_as_others = job->layers,
		.writes_fd = work->fds[0],
	};
	struct remove_job remove = {
		.parent_fd = work->fds[0],
		.names = job->names,
		.name_count = job->n_names,
		.owner = job->as_peer ? &work->peer : NULL,
		.are_layers = job->layers,
		.threads = job->threads,
	};
	size_t i;
	int r = confine(&confinement, err);

	if (r)
		return r;
	remove_run(&remove);
	for (i = 0; i < remove.failure_count; i++)
		utf8_repair(remove.failures[i], strlen(remove.failures[i]));
	/* A packet has its limit; the first ones tell enough. */
	removed.n_failures = remove.failure_count < MAX_FAILURES ? remove.failure_count
								 : MAX_FAILURES;
	removed.failures = remove.failures;
	event.event_case = PYENVD__WORKER__EVENT__EVENT_REMOVED;
	event.removed = &removed;
	channel_send(work->channel, &event);
	return 0;
}

static int run_checkpoint(struct work *work, struct error *err)
{
	const struct confinement confinement = { .writes_anywhere = true };
	int r = confine(&confinement, err);

	if (r == 0)
		r = checkpoint(work->job->checkpoint->path, err);
	if (r == 0)
		channel_send_done(work->channel);
	return r;
}

static int run_sync(struct work *work, struct error *err)
{
	const struct confinement confinement = { .writes_fd = -1 };
	int r = confine(&confinement, err);

	if (r == 0 && syncfs(work->fds[0]))
		r = fail_errno(err, -errno, NULL, "cannot make the disk durable");
	if (r == 0)
		channel_send_done(work->channel);
	return r;
}

/* How each is run, and what has to come with it. */
static const struct kind {
	int (*run)(struct work *work, struct error *err);
	size_t fd_count;
	bool needs_peer;
} job_kinds[] = {
	[PYENVD__WORKER__JOB__JOB_LOCATE] = { run_locate, 0, true },
	[PYENVD__WORKER__JOB__JOB_DIGEST] = { run_digest, 0, true },
	[PYENVD__WORKER__JOB__JOB_EXTRACT] = { run_extract, 1, true },
	[PYENVD__WORKER__JOB__JOB_REMOVE] = { run_remove, 1, false },
	[PYENVD__WORKER__JOB__JOB_CHECKPOINT] = { run_checkpoint, 0, false },
	[PYENVD__WORKER__JOB__JOB_SYNC] = { run_sync, 1, false },
	[PYENVD__WORKER__JOB__JOB_COPY] = { run_copy, 2, true },
	[PYENVD__WORKER__JOB__JOB_PROBE] = { run_probe, 0, true },
	[PYENVD__WORKER__JOB__JOB_REQUIREMENTS] = { work_read_requirements, 0, true },
	[PYENVD__WORKER__JOB__JOB_INSTALL] = { work_install, 2, true },
	[PYENVD__WORKER__JOB__JOB_END_USER] = { work_end_user, 0, false },
	[PYENVD__WORKER__JOB__JOB_RECEIVE] = { run_receive, 2, false },
	[PYENVD__WORKER__JOB__JOB_END_PROCESSES] = { work_end_processes, 0, true },
	[PYENVD__WORKER__JOB__JOB_START] = { work_start, 1, true },
};

/* Without a peer it would be done as root: an absent uid is 0. */
static int check_job(const struct work *work, const struct kind *kind, struct error *err)
{
	const Pyenvd__Worker__Job *job = work->job;
	bool is_remove = job->job_case == PYENVD__WORKER__JOB__JOB_REMOVE;
	size_t i;

	if (!job->peer && (kind->needs_peer || (is_remove && job->remove->as_peer)))
		return fail(err, -EBADMSG, NULL, "a job that does not say for whom");
	if ((job->job_case == PYENVD__WORKER__JOB__JOB_DIGEST && !job->digest->source) ||
		(job->job_case == PYENVD__WORKER__JOB__JOB_EXTRACT && !job->extract->source) ||
		(job->job_case == PYENVD__WORKER__JOB__JOB_INSTALL && !job->install->source) ||
		(job->job_case == PYENVD__WORKER__JOB__JOB_END_USER && !job->end_user->user))
		return fail(err, -EBADMSG, NULL, "a job without a source");
	if (job->job_case == PYENVD__WORKER__JOB__JOB_EXTRACT && job->extract->source_is_open &&
		work->fds[1] < 0)
		return fail(err, -EBADMSG, NULL, "a job without its source");
	if (job->job_case == PYENVD__WORKER__JOB__JOB_DIGEST && job->digest->copy &&
		(work->fds[0] < 0 || job->digest->may_be_directory))
		return fail(err, -EBADMSG, NULL, "a job without the file to copy to");
	for (i = 0; i < kind->fd_count; i++)
		if (work->fds[i] < 0)
			return fail(err, -EBADMSG, NULL, "a job without its descriptors");
	return 0;
}

static int run(struct work *work, struct error *err)
{
	const Pyenvd__Worker__Job *job = work->job;
	const struct kind *kind = &job_kinds[job->job_case];
	int r;

	if ((size_t)job->job_case >= ARRAY_SIZE(job_kinds) || !kind->run)
		return fail(err, -EBADMSG, NULL, "a job of a kind that is not known");
	r = check_job(work, kind, err);
	if (r)
		return r;
	if (job->peer)
		work->peer = work_identity(job->peer);
	return kind->run(work, err);
}

int main(void)
{
	_cleanup_(channel_freep) struct channel *channel = channel_new(CHANNEL_FD);
	_cleanup_(report_freep) struct report *report = channel_report(channel);
	struct work work = { .channel = channel, .report = report };
	Pyenvd__Worker__Job *job = NULL;
	struct error err = { 0 };
	int r;

	umask(0);
	/* Said outright, or glibc looks for a new time zone at each of a zip's local times. */
	setenv("TZ", ":/etc/localtime", 0);
	tzset();
	r = confine_limits(&err);
	if (r == 0)
		r = channel_receive(channel, &job, work.fds, &err);
	work.job = job;
	if (r == 0)
		r = channel_watch(channel, &err);
	if (r == 0)
		r = run(&work, &err);
	if (r)
		channel_send_failure(channel, &err);
	/* Not by return: threads may still run, and all that is owned dies with us. */
	_exit(r ? EXIT_FAILURE : EXIT_SUCCESS);
}
