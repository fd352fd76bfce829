/* The jobs that have to do with requirements, from their messages and back. */
#include <errno.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/utf8.h"
#include "daemon/worker/confine.h"
#include "daemon/worker/install.h"
#include "daemon/worker/program.h"
#include "daemon/worker/requirements.h"
#include "daemon/worker/share.h"
#include "daemon/worker/work.h"
#include "proto/wire-file.h"

struct place_limits work_limits(const Pyenvd__Worker__Limits *limits)
{
	if (!limits)
		return (struct place_limits){ 0 };
	return (struct place_limits){
		.max_bytes = limits->max_bytes,
		.max_entries = limits->max_entries,
		.max_depth = limits->max_depth,
		.max_name = limits->max_name,
		.max_ratio = limits->max_ratio,
		.ratio_floor_bytes = limits->ratio_floor_bytes,
		.reserve_bytes = limits->reserve_bytes,
	};
}

struct identity work_identity(const Pyenvd__Worker__Identity *identity)
{
	return (struct identity){
		.uid = identity->uid,
		.gid = identity->gid,
		.group_count = identity->n_groups,
		.groups = identity->groups,
	};
}

static const char *text_or_null(const char *text)
{
	return *text ? text : NULL;
}

/* ---- reading */

#define MAX_FILES_SIZE (192 * 1024) /* of a packet (worker.h) */
#define IDENTITY_SIZE 80 /* at most, encoded */

/* Of very many the daemon is told none: then it reads them anew each time. */
static size_t count_told(const struct requirements *requirements)
{
	size_t i, size = 0;

	for (i = 0; i < requirements->file_count; i++)
		size += strlen(requirements->files[i].path) + IDENTITY_SIZE;
	return size > MAX_FILES_SIZE ? 0 : requirements->file_count;
}

static void send_read(struct work *work, struct requirements *requirements)
{
	_cleanup_free_ char *specifiers = buffer_steal_text(&requirements->specifiers);
	Pyenvd__Worker__RequirementsRead read = PYENVD__WORKER__REQUIREMENTS_READ__INIT;
	Pyenvd__Worker__Event event = PYENVD__WORKER__EVENT__INIT;
	size_t n = count_told(requirements), i;
	Pyenvd__Worker__RequirementsRead__File *files = new0_array(
		Pyenvd__Worker__RequirementsRead__File, n);
	Pyenvd__Worker__RequirementsRead__File **pointers = new0_array(
		Pyenvd__Worker__RequirementsRead__File *, n);
	Pyenvd__Worker__FileIdentity *identities = new0_array(Pyenvd__Worker__FileIdentity, n);

	for (i = 0; i < n; i++) {
		pyenvd__worker__requirements_read__file__init(&files[i]);
		wire_file_from(&requirements->files[i].identity, &identities[i]);
		files[i].path = requirements->files[i].path;
		files[i].identity = &identities[i];
		pointers[i] = &files[i];
	}
	read.sha256.data = (uint8_t *)requirements->digest;
	read.sha256.len = SHA256_SIZE;
	read.n_files = n;
	read.files = pointers;
	read.count = (uint32_t)requirements->count;
	read.is_pinned = requirements->is_pinned;
	read.needs_pip = requirements->needs_pip;
	read.specifiers = specifiers;
	event.event_case = PYENVD__WORKER__EVENT__EVENT_REQUIREMENTS_READ;
	event.requirements_read = &read;
	channel_send(work->channel, &event);
	free(files);
	free(pointers);
	free(identities);
}

int work_read_requirements(struct work *work, struct error *err)
{
	const Pyenvd__Worker__Requirements *job = work->job->requirements;
	const struct confinement confinement = { .acts_as = &work->peer, .writes_fd = -1 };
	struct requirements requirements = {
		.path = job->path,
		.packages = text_or_null(job->packages),
		.peer = &work->peer,
		.offline = *job->packages,
		.threads = job->threads,
		.output_fd = -1,
	};
	int r;

	r = confine(&confinement, err);
	if (r == 0)
		r = requirements_read(&requirements, work->report, err);
	if (r == 0)
		send_read(work, &requirements);
	requirements_deinit(&requirements);
	return r;
}

/* ---- installing */

/* Not before: while a source is opened, which may take for ever, the daemon's going is to
 * end this process. */
static int keep_running(struct install *install, struct error *err)
{
	struct work *work = install->data;

	return channel_keep_running(work->channel, &install->stop_fd, err);
}

static struct install install_of(struct work *work, const struct identity *slot)
{
	const Pyenvd__Worker__Install *job = work->job->install;
	bool is_offline = *job->source->packages;

	return (struct install){
		.path = job->source->path,
		.packages = text_or_null(job->source->packages),
		.peer = &work->peer,
		.expected_sha256 = job->expected_sha256.data,
		.installer = {
			.kind = *job->uv ? INSTALLER_UV : INSTALLER_PIP,
			.uv = job->uv,
			.python = job->python,
			.home = text_or_null(job->home),
			.is_offline = is_offline,
			.index_url = text_or_null(job->index_url),
			.extra_index_urls = text_or_null(job->extra_index_urls),
		},
		.compile = job->compile,
		.directory_fd = work->fds[0],
		.directory = job->directory,
		.header = job->header,
		.access_all = job->access_all,
		.access_uid = job->access_uid,
		.slot = slot,
		.siblings = work->fds + 2,
		.sibling_count = job->siblings,
		.interpreter_layer_fd = work->fds[2 + job->siblings],
		.installers = job->installers,
		.installer_count = job->n_installers,
		.limits = work_limits(job->limits),
		.threads = job->threads,
		.until_us = clock_now_us() + job->seconds * UINT64_C(1000000),
		.keep_running = keep_running,
		.data = work,
		.stop_fd = -1,
		.log_fd = work->fds[1],
		.log_path = job->log_path,
		.report = work->report,
	};
}

static void send_installed(struct work *work, const struct install *install)
{
	Pyenvd__Worker__Installed installed = PYENVD__WORKER__INSTALLED__INIT;
	Pyenvd__Worker__Event event = PYENVD__WORKER__EVENT__INIT;

	utf8_repair(install->site, strlen(install->site));
	installed.bytes = install->bytes;
	installed.entries = install->entries;
	installed.shared_bytes = install->shared_bytes;
	installed.site = install->site;
	installed.scripts = install->scripts;
	installed.resolved = install->resolved;
	event.event_case = PYENVD__WORKER__EVENT__EVENT_INSTALLED;
	event.installed = &installed;
	channel_send(work->channel, &event);
}

int work_install(struct work *work, struct error *err)
{
	const Pyenvd__Worker__Install *job = work->job->install;
	struct identity slot = { 0 };
	struct install install;
	int r;

	if (job->slot)
		slot = work_identity(job->slot);
	if (job->expected_sha256.len != SHA256_SIZE || (job->slot && slot.uid == 0) ||
		job->siblings > SHARE_MAX_SIBLINGS)
		return fail(err, -EBADMSG, NULL, "an installation that nobody may do");
	install = install_of(work, job->slot ? &slot : NULL);
	/* Its lock is kept to the end of the process, as an extraction's. */
	r = install_run(&install, err);
	if (r == 0)
		send_installed(work, &install);
	install_deinit(&install);
	return r;
}

int work_end_user(struct work *work, struct error *err)
{
	struct identity user = work_identity(work->job->end_user->user);
	const struct confinement confinement = { .acts_as = &user, .writes_fd = -1 };
	int r;

	if (user.uid == 0 || user.uid == geteuid())
		return fail(err, -EBADMSG, NULL, "a user who is not to be ended");
	r = confine(&confinement, err);
	if (r == 0)
		r = program_end_user(&user, err);
	if (r == 0)
		channel_send_done(work->channel);
	return r;
}
