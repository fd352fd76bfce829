#include "proto/job.h"

bool job_runs_programs(const struct job *job)
{
	return job->kind == JOB_PROBE || job->kind == JOB_INSTALL;
}

const char *job_opened_path(const struct job *job)
{
	switch (job->kind) {
	case JOB_LOCATE:
		return job->locate.paths[0];
	case JOB_EXTRACT:
		return job->extract.has_source ? NULL : job->extract.path;
	case JOB_DIGEST:
		return job->digest.path;
	case JOB_REQUIREMENTS:
		return job->requirements.uploads ? NULL : job->requirements.path;
	case JOB_INSTALL:
		return job->install.source.uploads ? NULL : job->install.source.path;
	default:
		return NULL;
	}
}

static size_t add_uploads(const struct job_requirements *source, int *fds, size_t count)
{
	if (source->uploads)
		fds[count++] = source->uploads->directory_fd;
	return count;
}

static size_t list_install_fds(const struct job_install *install, int *fds)
{
	size_t count = 0, i;

	fds[count++] = install->directory_fd;
	fds[count++] = install->log_fd;
	for (i = 0; i < install->sibling_count; i++)
		fds[count++] = install->siblings[i];
	if (install->interpreter_layer_fd >= 0)
		fds[count++] = install->interpreter_layer_fd;
	return add_uploads(&install->source, fds, count);
}

size_t job_list_fds(const struct job *job, int fds[JOB_MAX_FDS])
{
	switch (job->kind) {
	case JOB_DIGEST:
		fds[0] = job->digest.copy_fd;
		return job->digest.copy ? 1 : 0;
	case JOB_EXTRACT:
		fds[0] = job->extract.directory_fd;
		fds[1] = job->extract.source_fd;
		return job->extract.has_source ? 2 : 1;
	case JOB_INSTALL:
		return list_install_fds(&job->install, fds);
	case JOB_REQUIREMENTS:
		return add_uploads(&job->requirements, fds, 0);
	case JOB_COPY:
		fds[0] = job->copy.from_fd;
		fds[1] = job->copy.to_fd;
		return 2;
	case JOB_RECEIVE:
		fds[0] = job->receive.from_fd;
		fds[1] = job->receive.to_fd;
		return 2;
	case JOB_START:
		fds[0] = job->start.gate_fd;
		return 1;
	case JOB_REMOVE:
		fds[0] = job->remove.parent_fd;
		return 1;
	case JOB_SYNC:
		fds[0] = job->sync_fd;
		return 1;
	default:
		return 0;
	}
}
