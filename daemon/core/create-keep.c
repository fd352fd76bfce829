/*
 * What a container retrieves of its requirements: each file that they were read from becomes
 * an artifact of the lease, one after the other. They are pinned until then; as soon as the
 * lease is there, that keeps them.
 *
 * Names are those that the requirements use, so that what was retrieved can be installed as
 * it is: hence nothing may lie outside of the requirements file's directory. And content is
 * kept as it is, users and passwords in URLs included: it is for their owner alone.
 */
#include <errno.h>
#include "daemon/core/create-work.h"

#define MAX_LINES 64 /* files that are no packages, which come first */

static int keep_more(struct create_work *work, struct error *err);

static void format_digest(const struct job_file *file, char ret[SHA256_HEX_SIZE])
{
	hex_format(file->sha256, SHA256_SIZE, ret);
}

/* A file may be there twice, as requirements and as constraints. */
static const struct job_file *find_before(const struct readings_files *files, size_t i)
{
	size_t j;

	for (j = 0; j < i && j < MAX_LINES; j++)
		if (files->rows[j].name && text_equal(files->rows[j].name, files->rows[i].name))
			return &files->rows[j];
	return NULL;
}

static int check_name(const struct create_keep *keep, size_t i, struct error *err)
{
	const struct job_file *file = &keep->files.rows[i];
	const struct job_file *before = find_before(&keep->files, i);

	if (*file->name == '/' || text_equal(file->name, "..") ||
		text_starts_with(file->name, "../"))
		return fail(err, -EINVAL, "WORKER_MISMATCH",
			"'%s' is included by a path that leads out of the directory of '%s': "
			"workers that are containers can only be given what lies in it",
			file->path, keep->files.rows[0].path);
	if (before && memcmp(before->sha256, file->sha256, SHA256_SIZE) != 0)
		return fail(err, -EINVAL, "WORKER_MISMATCH",
			"'%s' and '%s' would both be '%s' for a worker that is a container",
			before->path, file->path, file->name);
	return 0;
}

static void format_name(const struct create_keep *keep, size_t i, char ret[ARTIFACT_NAME_SIZE])
{
	char digest[SHA256_HEX_SIZE];

	format_digest(&keep->files.rows[i], digest);
	artifact_format_name(digest, keep->uid, ret);
}

static void pin(struct create_work *work)
{
	struct create_keep *keep = &work->install.keep;
	char name[ARTIFACT_NAME_SIZE];

	format_name(keep, keep->count++, name);
	pins_add(artifacts_pins(work->creates->artifacts), name);
}

static void on_kept(struct creation_waiter *waiter, const struct error *err)
{
	struct create_keep *keep = container_of(waiter, struct create_keep, waiter);
	struct create_install *install = container_of(keep, struct create_install, keep);
	struct create_work *work = container_of(install, struct create_work, install);
	struct error failed = err ? *err : (struct error){ 0 };

	keep->is_waiting = false;
	if (!err) {
		pin(work);
		if (keep_more(work, &failed) == CREATE_E_LATER)
			return;
	}
	if (failed.r)
		work->create->blamed = work->create->spec->requirements.path;
	create_work_resolved(work, failed.r ? &failed : NULL);
}

/* 0: it is an artifact already. */
static int keep_one(struct create_work *work, const struct job_file *file, struct error *err)
{
	struct artifacts *artifacts = work->creates->artifacts;
	const struct peer *peer = work->create->peer;
	struct create_keep *keep = &work->install.keep;
	char digest[SHA256_HEX_SIZE];
	struct db_artifact known;
	int r;

	format_digest(file, digest);
	r = artifacts_use(artifacts, peer->identity.uid, digest, &known, err);
	if (r != ARTIFACTS_E_NOT_FOUND)
		return r;
	work->install.has_waited = true;
	keep->is_waiting = true;
	keep->waiter.done = on_kept;
	creation_join(keeping_creation(
			      artifacts_keep(artifacts, digest, file->path, &file->identity, peer)),
		&keep->waiter);
	return CREATE_E_LATER;
}

static int keep_more(struct create_work *work, struct error *err)
{
	struct create_keep *keep = &work->install.keep;
	int r = 0;

	while (keep->count < keep->files.count) {
		r = keep_one(work, &keep->files.rows[keep->count], err);
		if (r)
			return r;
		pin(work);
	}
	return 0;
}

int create_keep_begin(struct create_work *work, struct error *err)
{
	const struct create_keep *keep = &work->install.keep;
	size_t i;
	int r = 0;

	if (keep->has_too_many)
		r = fail(err, -EFBIG, "LIMIT_EXCEEDED",
			"'%s' has too many packages for a worker that is a container",
			work->create->spec->requirements.path);
	for (i = 0; i < keep->files.count && r == 0; i++)
		r = check_name(keep, i, err);
	if (r == 0)
		r = keep_more(work, err);
	if (r < 0)
		work->create->blamed = work->create->spec->requirements.path;
	return r;
}

void create_keep_take(struct create_work *work, const struct readings_files *files)
{
	struct create_keep *keep = &work->install.keep;
	size_t i, count = 0;

	if (work->create->spec->worker != SPEC_WORKER_DOCKER)
		return;
	keep->uid = work->create->peer->identity.uid;
	keep->has_too_many = !files->count;
	readings_files_copy(&keep->files, files);
	/* The directory of packages is no file. */
	for (i = 0; i < keep->files.count; i++) {
		if (keep->files.rows[i].name)
			keep->files.rows[count++] = keep->files.rows[i];
		else
			free((char *)keep->files.rows[i].path);
	}
	keep->files.count = count;
}

size_t create_keep_count(const struct create_work *work)
{
	return work->install.keep.files.count;
}

void create_keep_add_artifacts(const struct create_work *work, struct db_lease_artifacts *ret)
{
	const struct readings_files *files = &work->install.keep.files;
	size_t i;

	for (i = 0; i < files->count; i++) {
		struct db_lease_artifact *artifact = &ret->rows[ret->count];

		if (find_before(files, i))
			continue;
		artifact->name = text_format("python_requirements/%s", files->rows[i].name);
		format_digest(&files->rows[i], artifact->digest);
		ret->count++;
	}
}

void create_keep_leave(struct create_work *work)
{
	struct create_keep *keep = &work->install.keep;

	creation_leave(&keep->waiter);
	while (keep->count) {
		char name[ARTIFACT_NAME_SIZE];

		format_name(keep, --keep->count, name);
		pins_remove(artifacts_pins(work->creates->artifacts), name);
	}
	readings_files_deinit(&keep->files);
}
