#include "daemon/jobs/job.h"

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
		return job->requirements.path;
	case JOB_INSTALL:
		return job->install.source.path;
	default:
		return NULL;
	}
}
