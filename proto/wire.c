#include "proto/wire.h"

#include <errno.h>
#include <stdio.h>
#include "proto/wire-file.h"
#include "proto/wire-internal.h"

static void pack(const Pyenvd__Worker__Job *message, struct buffer *ret)
{
	size_t size = pyenvd__worker__job__get_packed_size(message);

	pyenvd__worker__job__pack(message, buffer_reserve(ret, size));
	ret->size += size;
}

struct source_message {
	Pyenvd__Worker__Source source;
	Pyenvd__Worker__FileIdentity file;
};

static Pyenvd__Worker__Source *from_source(
	const char *path, const struct fs_identity *expected, struct source_message *ret)
{
	pyenvd__worker__source__init(&ret->source);
	wire_file_from(expected, &ret->file);
	ret->source.path = (char *)path;
	ret->source.expected = &ret->file;
	return &ret->source;
}

static void encode_locate(Pyenvd__Worker__Job *message, const struct job *job, struct buffer *ret)
{
	Pyenvd__Worker__Locate locate = PYENVD__WORKER__LOCATE__INIT;

	locate.n_paths = job->locate.path_count;
	locate.paths = (char **)job->locate.paths;
	locate.executable = job->locate.executable;
	message->job_case = PYENVD__WORKER__JOB__JOB_LOCATE;
	message->locate = &locate;
	pack(message, ret);
}

/* What is not there is empty in a message. */
static char *text_of(const char *text)
{
	return (char *)(text ? text : "");
}

static void encode_probe(Pyenvd__Worker__Job *message, const struct job *job, struct buffer *ret)
{
	Pyenvd__Worker__Probe probe = PYENVD__WORKER__PROBE__INIT;

	probe.path = (char *)job->probe.path;
	probe.home = text_of(job->probe.home);
	message->job_case = PYENVD__WORKER__JOB__JOB_PROBE;
	message->probe = &probe;
	pack(message, ret);
}

static void from_limits(const struct job_limits *limits, Pyenvd__Worker__Limits *ret)
{
	pyenvd__worker__limits__init(ret);
	ret->max_bytes = limits->max_bytes;
	ret->max_entries = limits->max_entries;
	ret->max_depth = limits->max_depth;
	ret->max_name = limits->max_name;
	ret->max_ratio = limits->max_ratio;
	ret->ratio_floor_bytes = limits->ratio_floor_bytes;
	ret->reserve_bytes = limits->reserve_bytes;
}

static Pyenvd__Worker__Identity *from_identity(
	const struct identity *identity, Pyenvd__Worker__Identity *ret)
{
	pyenvd__worker__identity__init(ret);
	ret->uid = identity->uid;
	ret->gid = identity->gid;
	ret->n_groups = identity->group_count;
	ret->groups = identity->groups;
	return ret;
}

static void encode_requirements(
	Pyenvd__Worker__Job *message, const struct job *job, struct buffer *ret)
{
	struct wire_requirements requirements;

	message->job_case = PYENVD__WORKER__JOB__JOB_REQUIREMENTS;
	message->requirements = wire_from_requirements(&job->requirements, &requirements);
	pack(message, ret);
	wire_requirements_deinit(&requirements);
}

static void encode_install(Pyenvd__Worker__Job *message, const struct job *job, struct buffer *ret)
{
	const struct job_install *in = &job->install;
	Pyenvd__Worker__Install install = PYENVD__WORKER__INSTALL__INIT;
	struct wire_requirements source;
	Pyenvd__Worker__Identity slot;
	Pyenvd__Worker__Limits limits;

	from_limits(in->limits, &limits);
	install.source = wire_from_requirements(&in->source, &source);
	install.expected_sha256.data = (uint8_t *)in->expected_sha256;
	install.expected_sha256.len = SHA256_SIZE;
	install.uv = text_of(in->uv);
	install.python = (char *)in->python;
	install.home = text_of(in->home);
	install.index_url = text_of(in->index_url);
	install.extra_index_urls = text_of(in->extra_index_urls);
	install.compile = in->compile;
	install.directory = (char *)in->directory;
	install.header = (char *)in->header;
	install.access_all = in->access_all;
	install.access_uid = in->access_uid;
	if (in->slot)
		install.slot = from_identity(in->slot, &slot);
	install.installers = (uint32_t *)in->installers;
	install.n_installers = in->installer_count;
	install.limits = &limits;
	install.threads = in->threads;
	install.seconds = in->seconds;
	install.log_path = (char *)in->log_path;
	install.siblings = (uint32_t)in->sibling_count;
	message->job_case = PYENVD__WORKER__JOB__JOB_INSTALL;
	message->install = &install;
	pack(message, ret);
	wire_requirements_deinit(&source);
}

static void encode_end_user(Pyenvd__Worker__Job *message, const struct job *job, struct buffer *ret)
{
	Pyenvd__Worker__EndUser end_user = PYENVD__WORKER__END_USER__INIT;
	Pyenvd__Worker__Identity user;

	end_user.user = from_identity(job->user, &user);
	message->job_case = PYENVD__WORKER__JOB__JOB_END_USER;
	message->end_user = &end_user;
	pack(message, ret);
}

static void encode_digest(Pyenvd__Worker__Job *message, const struct job *job, struct buffer *ret)
{
	Pyenvd__Worker__Digest digest = PYENVD__WORKER__DIGEST__INIT;
	struct source_message source;

	digest.source = from_source(job->digest.path, &job->digest.expected, &source);
	digest.may_be_directory = job->digest.may_be_directory;
	digest.copy = job->digest.copy;
	digest.reserve_bytes = job->digest.reserve_bytes;
	message->job_case = PYENVD__WORKER__JOB__JOB_DIGEST;
	message->digest = &digest;
	pack(message, ret);
}

static void encode_extract(Pyenvd__Worker__Job *message, const struct job *job, struct buffer *ret)
{
	static const Pyenvd__Worker__Kind kinds[] = {
		[JOB_LAYER_ARCHIVE] = PYENVD__WORKER__KIND__KIND_ARCHIVE,
		[JOB_LAYER_FILE] = PYENVD__WORKER__KIND__KIND_FILE,
		[JOB_LAYER_DIRECTORY] = PYENVD__WORKER__KIND__KIND_DIRECTORY,
	};
	static const Pyenvd__Worker__Compile compiles[] = {
		[JOB_COMPILE_VIRTUALENVS] = PYENVD__WORKER__COMPILE__COMPILE_VIRTUALENVS,
		[JOB_COMPILE_ALWAYS] = PYENVD__WORKER__COMPILE__COMPILE_ALWAYS,
		[JOB_COMPILE_NEVER] = PYENVD__WORKER__COMPILE__COMPILE_NEVER,
	};
	const struct job_extract *in = &job->extract;
	Pyenvd__Worker__Extract extract = PYENVD__WORKER__EXTRACT__INIT;
	Pyenvd__Worker__Limits limits;
	struct source_message source;

	from_limits(in->limits, &limits);
	extract.source = from_source(in->path, &in->expected, &source);
	extract.kind = kinds[in->layer];
	extract.name = text_of(in->name);
	extract.hash = in->hash;
	if (in->expected_sha256) {
		extract.expected_sha256.data = (uint8_t *)in->expected_sha256;
		extract.expected_sha256.len = SHA256_SIZE;
	}
	extract.copy_first = in->copy_first;
	extract.access_all = in->access_all;
	extract.access_uid = in->access_uid;
	extract.compile = compiles[in->compile];
	extract.limits = &limits;
	extract.threads = in->threads;
	extract.directory = (char *)in->directory;
	extract.header = text_of(in->header);
	extract.source_is_open = in->has_source;
	message->job_case = PYENVD__WORKER__JOB__JOB_EXTRACT;
	message->extract = &extract;
	pack(message, ret);
}

static void encode_remove(Pyenvd__Worker__Job *message, const struct job *job, struct buffer *ret)
{
	Pyenvd__Worker__Remove remove = PYENVD__WORKER__REMOVE__INIT;

	remove.n_names = job->remove.name_count;
	remove.names = (char **)job->remove.names;
	remove.as_peer = job->remove.as_peer;
	remove.layers = job->remove.layers;
	remove.threads = job->remove.threads;
	message->job_case = PYENVD__WORKER__JOB__JOB_REMOVE;
	message->remove = &remove;
	pack(message, ret);
}

static void encode_receive(Pyenvd__Worker__Job *message, const struct job *job, struct buffer *ret)
{
	Pyenvd__Worker__Receive receive = PYENVD__WORKER__RECEIVE__INIT;

	receive.size = job->receive.size;
	receive.reserve_bytes = job->receive.reserve_bytes;
	message->job_case = PYENVD__WORKER__JOB__JOB_RECEIVE;
	message->receive = &receive;
	pack(message, ret);
}

static void encode_end(Pyenvd__Worker__Job *message, const struct job *job, struct buffer *ret)
{
	Pyenvd__Worker__EndProcesses end = PYENVD__WORKER__END_PROCESSES__INIT;
	Pyenvd__Worker__EndProcesses__Process processes[JOB_MAX_PROCESSES];
	Pyenvd__Worker__EndProcesses__Process *pointers[JOB_MAX_PROCESSES];
	size_t i;

	for (i = 0; i < job->end.count; i++) {
		pyenvd__worker__end_processes__process__init(&processes[i]);
		processes[i].pid = job->end.processes[i].pid;
		processes[i].start = job->end.processes[i].start;
		pointers[i] = &processes[i];
	}
	end.processes = pointers;
	end.n_processes = job->end.count;
	end.grace_ms = job->end.grace_ms;
	message->job_case = PYENVD__WORKER__JOB__JOB_END_PROCESSES;
	message->end_processes = &end;
	pack(message, ret);
}

static void encode_small(Pyenvd__Worker__Job *message, const struct job *job, struct buffer *ret)
{
	Pyenvd__Worker__Checkpoint checkpoint = PYENVD__WORKER__CHECKPOINT__INIT;
	Pyenvd__Worker__Copy copy = PYENVD__WORKER__COPY__INIT;
	Pyenvd__Worker__Start start = PYENVD__WORKER__START__INIT;
	Pyenvd__Worker__Sync sync = PYENVD__WORKER__SYNC__INIT;

	if (job->kind == JOB_CHECKPOINT) {
		checkpoint.path = (char *)job->checkpoint_path;
		message->job_case = PYENVD__WORKER__JOB__JOB_CHECKPOINT;
		message->checkpoint = &checkpoint;
	} else if (job->kind == JOB_COPY) {
		message->job_case = PYENVD__WORKER__JOB__JOB_COPY;
		message->copy = &copy;
	} else if (job->kind == JOB_START) {
		message->job_case = PYENVD__WORKER__JOB__JOB_START;
		message->start = &start;
	} else {
		message->job_case = PYENVD__WORKER__JOB__JOB_SYNC;
		message->sync = &sync;
	}
	pack(message, ret);
}

void wire_encode_job(
	const struct job *job, struct buffer *ret, int fds[JOB_MAX_FDS], size_t *fd_count)
{
	static void (*const encode[])(
		Pyenvd__Worker__Job *, const struct job *, struct buffer *) = {
		[JOB_LOCATE] = encode_locate,
		[JOB_DIGEST] = encode_digest,
		[JOB_EXTRACT] = encode_extract,
		[JOB_COPY] = encode_small,
		[JOB_REMOVE] = encode_remove,
		[JOB_CHECKPOINT] = encode_small,
		[JOB_SYNC] = encode_small,
		[JOB_PROBE] = encode_probe,
		[JOB_REQUIREMENTS] = encode_requirements,
		[JOB_INSTALL] = encode_install,
		[JOB_END_USER] = encode_end_user,
		[JOB_RECEIVE] = encode_receive,
		[JOB_END_PROCESSES] = encode_end,
		[JOB_START] = encode_small,
	};
	Pyenvd__Worker__Identity identity;
	Pyenvd__Worker__Job message = PYENVD__WORKER__JOB__INIT;

	if (job->peer)
		message.peer = from_identity(job->peer, &identity);
	encode[job->kind](&message, job, ret);
	*fd_count = job_list_fds(job, fds);
}

void wire_kept_deinit(struct wire_kept *kept)
{
	size_t i;

	for (i = 0; i < kept->count; i++)
		free(kept->texts[i]);
	free(kept->texts);
	free(kept->files);
	if (kept->event)
		pyenvd__worker__event__free_unpacked(kept->event, NULL);
	*kept = (struct wire_kept){ 0 };
}

static enum wire_event to_failure(const Pyenvd__Worker__Failure *failure, struct error *err)
{
	int r = failure->error > 0 ? -failure->error : -EIO;

	fail(err, r, failure->reason, "%s", failure->text);
	return WIRE_FAILURE;
}

static enum wire_event to_progress(
	const Pyenvd__Worker__Progress *progress, struct job_progress *ret)
{
	static const enum job_phase phases[] = {
		[PYENVD__WORKER__PHASE__PHASE_DIGEST] = JOB_PHASE_DIGEST,
		[PYENVD__WORKER__PHASE__PHASE_EXTRACT] = JOB_PHASE_EXTRACT,
		[PYENVD__WORKER__PHASE__PHASE_BYTECODE] = JOB_PHASE_BYTECODE,
		[PYENVD__WORKER__PHASE__PHASE_FINISH] = JOB_PHASE_FINISH,
		[PYENVD__WORKER__PHASE__PHASE_INSTALL] = JOB_PHASE_INSTALL,
	};

	*ret = (struct job_progress){
		.phase = progress->phase < ARRAY_SIZE(phases) ? phases[progress->phase]
							      : JOB_PHASE_EXTRACT,
		.done_bytes = progress->done_bytes,
		.total_bytes = progress->total_bytes,
		.done_entries = progress->done_entries,
	};
	return WIRE_PROGRESS;
}

static int to_digested(const struct job *job, const Pyenvd__Worker__Digested *digested,
	enum wire_event *ret, struct job_result *result)
{
	if (digested->sha256.len != SHA256_SIZE)
		return -EBADMSG;
	memcpy(result->sha256, digested->sha256.data, SHA256_SIZE);
	wire_file_to(digested->identity, &result->file);
	result->is_directory = digested->is_directory;
	*ret = job->kind == JOB_EXTRACT ? WIRE_DIGESTED : WIRE_RESULT;
	return 0;
}

static enum wire_event to_extracted(
	const Pyenvd__Worker__Extracted *extracted, struct job_result *result)
{
	result->bytes = extracted->bytes;
	result->entries = extracted->entries;
	result->compiled = extracted->compiled;
	snprintf(result->format, sizeof(result->format), "%s", extracted->format);
	snprintf(result->note, sizeof(result->note), "%s", extracted->note);
	return WIRE_RESULT;
}

static enum wire_event to_probed(const Pyenvd__Worker__Probed *probed, struct job_python *ret)
{
	snprintf(ret->implementation, sizeof(ret->implementation), "%s", probed->implementation);
	snprintf(ret->version, sizeof(ret->version), "%s", probed->version);
	snprintf(ret->abi, sizeof(ret->abi), "%s", probed->abi);
	snprintf(ret->platform, sizeof(ret->platform), "%s", probed->platform);
	snprintf(ret->pip, sizeof(ret->pip), "%s", probed->pip);
	ret->needs_home = probed->needs_home;
	return WIRE_RESULT;
}

static enum wire_event to_installed(
	const Pyenvd__Worker__Installed *installed, struct job_result *result)
{
	result->bytes = installed->bytes;
	result->entries = installed->entries;
	result->shared_bytes = installed->shared_bytes;
	result->site = installed->site;
	result->scripts = installed->scripts;
	result->resolved = installed->resolved;
	return WIRE_RESULT;
}

static enum wire_event to_removed(const Pyenvd__Worker__Removed *removed, struct wire_kept *kept)
{
	size_t i;

	kept->count = removed->n_failures;
	kept->texts = new0_array(char *, removed->n_failures);
	for (i = 0; i < removed->n_failures; i++)
		kept->texts[i] = text_copy(removed->failures[i]);
	return WIRE_RESULT;
}

int wire_decode_event(const struct job *job, const void *data, size_t size, enum wire_event *ret,
	struct job_result *result, struct wire_kept *kept, struct job_progress *progress,
	struct error *err)
{
	Pyenvd__Worker__Event *event = pyenvd__worker__event__unpack(NULL, size, data);
	int r = 0;

	if (!event)
		return -EBADMSG;
	switch (event->event_case) {
	case PYENVD__WORKER__EVENT__EVENT_OPENED:
		wire_file_to(event->opened->identity, &result->file);
		*ret = WIRE_OPENED;
		break;
	case PYENVD__WORKER__EVENT__EVENT_DIGESTED:
		r = to_digested(job, event->digested, ret, result);
		break;
	case PYENVD__WORKER__EVENT__EVENT_PROGRESS:
		*ret = to_progress(event->progress, progress);
		break;
	case PYENVD__WORKER__EVENT__EVENT_FAILURE:
		*ret = to_failure(event->failure, err);
		break;
	case PYENVD__WORKER__EVENT__EVENT_LOCATED:
		wire_file_to(event->located->identity, &result->file);
		result->index = event->located->index;
		result->is_directory = event->located->is_directory;
		*ret = WIRE_RESULT;
		break;
	case PYENVD__WORKER__EVENT__EVENT_EXTRACTED:
		*ret = to_extracted(event->extracted, result);
		break;
	case PYENVD__WORKER__EVENT__EVENT_REMOVED:
		*ret = to_removed(event->removed, kept);
		break;
	case PYENVD__WORKER__EVENT__EVENT_PROBED:
		*ret = to_probed(event->probed, &result->python);
		break;
	case PYENVD__WORKER__EVENT__EVENT_REQUIREMENTS_READ:
		r = wire_to_read(event->requirements_read, result, kept);
		*ret = WIRE_RESULT;
		break;
	case PYENVD__WORKER__EVENT__EVENT_INSTALLED:
		*ret = to_installed(event->installed, result);
		break;
	case PYENVD__WORKER__EVENT__EVENT_STARTED:
		result->process = (struct process){ event->started->pid, event->started->start };
		*ret = WIRE_STARTED;
		break;
	case PYENVD__WORKER__EVENT__EVENT_DONE:
		*ret = WIRE_RESULT;
		break;
	default:
		r = -EBADMSG;
	}
	if (r == 0 && *ret == WIRE_RESULT && !kept->event)
		kept->event = event;
	else
		pyenvd__worker__event__free_unpacked(event, NULL);
	return r;
}
