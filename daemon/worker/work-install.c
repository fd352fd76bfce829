/* The jobs that have to do with requirements, from their messages and back. */
#include <errno.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/utf8.h"
#include "daemon/worker/confine.h"
#include "daemon/worker/install.h"
#include "daemon/worker/program.h"
#include "daemon/worker/requirements-uploads.h"
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

/* ---- what was uploaded */

/* The last descriptor, which is nobody else's from then on; -1: there is none. */
static int take_last_fd(struct work *work)
{
	size_t i = CHANNEL_MAX_FDS;

	while (i && work->fds[i - 1] < 0)
		i--;
	return i ? steal_fd(&work->fds[i - 1]) : -1;
}

static const struct requirements_upload *to_uploads(
	Pyenvd__Worker__Uploads__File *const *files, size_t count)
{
	struct requirements_upload *ret = new0_array(struct requirements_upload, count);
	size_t i;

	for (i = 0; i < count; i++)
		ret[i] = (struct requirements_upload){ files[i]->name, files[i]->file };
	return ret;
}

/* What it takes lives to the end of the process. NULL: the source is somewhere else. */
static const struct requirements_uploads *take_uploads(
	struct work *work, const Pyenvd__Worker__Requirements *source)
{
	const Pyenvd__Worker__Uploads *from = source->uploads;
	struct requirements_uploads *ret;

	if (!from)
		return NULL;
	ret = new0(struct requirements_uploads);
	*ret = (struct requirements_uploads){
		.directory_fd = take_last_fd(work),
		.files = to_uploads(from->files, from->n_files),
		.file_count = from->n_files,
		.has_packages = from->has_packages,
		.packages = to_uploads(from->packages, from->n_packages),
		.package_count = from->n_packages,
	};
	return ret;
}

static bool is_offline(const Pyenvd__Worker__Requirements *source)
{
	return *source->packages || (source->uploads && source->uploads->has_packages);
}

/* ---- reading */

typedef Pyenvd__Worker__RequirementsRead__File read_file;

static void from_file(struct requirements_file *file, read_file *ret)
{
	Pyenvd__Worker__FileIdentity *identity = new0(Pyenvd__Worker__FileIdentity);

	pyenvd__worker__requirements_read__file__init(ret);
	wire_file_from(&file->identity, identity);
	ret->path = file->path;
	if (file->name)
		ret->name = file->name;
	ret->identity = identity;
	ret->sha256.data = file->digest;
	ret->sha256.len = SHA256_SIZE;
}

#define MAX_FILES_SIZE (192 * 1024) /* of a packet */
#define IDENTITY_SIZE 80 /* at most, encoded */

/* Without the directories of packages, which are told once. */
static bool fits_a_packet(const struct requirements *requirements)
{
	size_t i, size = 0;

	for (i = 0; i < requirements->file_count; i++) {
		const struct requirements_file *file = &requirements->files[i];
		const char *slash = strrchr(file->path, '/');

		size += IDENTITY_SIZE + SHA256_SIZE;
		size += file->name ? strlen(file->path) + strlen(file->name)
				   : strlen(slash ? slash : file->path);
	}
	return size <= MAX_FILES_SIZE;
}

/* As RequirementsRead has them: files, the directory of packages, packages; of very many
 * none. */
static void add_files(
	const struct requirements *requirements, Pyenvd__Worker__RequirementsRead *read)
{
	size_t count = requirements->file_count, packages = requirements->package_count, i;
	size_t others = count - packages, lines = others - (requirements->packages != NULL);
	read_file *files = new0_array(read_file, count + 1);
	read_file **pointers = new0_array(read_file *, count + 1);

	for (i = 0; i < count; i++) {
		from_file(&requirements->files[i], &files[i]);
		pointers[i] = &files[i];
	}
	pyenvd__worker__requirements_read__file__init(&files[count]);
	read->directory = &files[count];
	if (!fits_a_packet(requirements))
		return;
	read->files = pointers;
	read->n_files = lines;
	if (requirements->packages)
		read->directory = &files[lines];
	read->packages = pointers + others;
	read->n_packages = packages;
	for (i = others; i < count; i++)
		files[i].path = strrchr(files[i].path, '/') ? strrchr(files[i].path, '/') + 1
							    : files[i].path;
}

/* What it takes lives to the end of the process. */
static void send_read(struct work *work, struct requirements *requirements)
{
	Pyenvd__Worker__RequirementsRead read = PYENVD__WORKER__REQUIREMENTS_READ__INIT;
	Pyenvd__Worker__Event event = PYENVD__WORKER__EVENT__INIT;

	add_files(requirements, &read);
	read.specifiers = buffer_steal_text(&requirements->specifiers);
	read.sha256.data = (uint8_t *)requirements->digest;
	read.sha256.len = SHA256_SIZE;
	read.count = (uint32_t)requirements->count;
	read.is_pinned = requirements->is_pinned;
	read.needs_pip = requirements->needs_pip;
	event.event_case = PYENVD__WORKER__EVENT__EVENT_REQUIREMENTS_READ;
	event.requirements_read = &read;
	channel_send(work->channel, &event);
}

int work_read_requirements(struct work *work, struct error *err)
{
	const Pyenvd__Worker__Requirements *job = work->job->requirements;
	const struct requirements_uploads *uploads = take_uploads(work, job);
	const struct confinement confinement = {
		.acts_as = uploads ? NULL : &work->peer,
		.writes_fd = -1,
	};
	struct requirements requirements = {
		.path = job->path,
		.packages = text_or_null(job->packages),
		.peer = &work->peer,
		.uploads = uploads,
		.offline = is_offline(job),
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
	const struct requirements_uploads *uploads = take_uploads(work, job->source);

	return (struct install){
		.path = job->source->path,
		.packages = text_or_null(job->source->packages),
		.uploads = uploads,
		.peer = &work->peer,
		.expected_sha256 = job->expected_sha256.data,
		.installer = {
			.kind = *job->uv ? INSTALLER_UV : INSTALLER_PIP,
			.uv = job->uv,
			.python = job->python,
			.home = text_or_null(job->home),
			.is_offline = is_offline(job->source),
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
