#pragma once
/* A CreateEnvironmentRequest from a command line. Any thread. */
#include <pyenvd.pb-c.h>
#include "proto/arguments.h"

struct request {
	Pyenvd__V1__CreateEnvironmentRequest message; /* all in it is owned */
	Pyenvd__V1__Holder holder;
	Pyenvd__V1__ProcessHolder process;
	Pyenvd__V1__TimeToLiveHolder time_to_live;
	Pyenvd__V1__ProcessWorker process_worker;
	Pyenvd__V1__DockerWorker docker_worker;
	Pyenvd__V1__Requirements requirements;
	Pyenvd__V1__FlinkConfiguration flink; /* all in it is owned */
	bool is_begun;
};

/* Their data must begin with a struct request, zeroed. */
extern const struct argument request_arguments[];

/* Says that there is a request, even if no option did; idempotent. */
void request_begin(struct request *request);
void request_deinit(struct request *request);

/* PATH and PYTHONPATH, if set, as what the environment's are put in front of; instead of what was
 * said of them before. */
void request_set_base(struct request *request, const char *path, const char *python_path);
/* Paths of all archives and Python files, "" where there is a digest; then NULL. */
const char *request_get_path(const struct request *request, size_t i);
/* Whether an archive or Python file is at this path. */
bool request_has_path(const struct request *request, const char *path);
/* Those are named by this digest instead. */
void request_use_digest(struct request *request, const char *path, const char *sha256);
/* The requirements file, and the directory of packages, unless they were uploaded; or NULL. */
const char *request_get_requirements(const struct request *request);
const char *request_get_packages(const struct request *request);
/* Those are given as artifacts instead. Takes @uploaded, and all in it. */
void request_use_uploaded(struct request *request, Pyenvd__V1__UploadedRequirements *uploaded);
/* With room for so many files; the first that is added is the requirements file. */
Pyenvd__V1__UploadedRequirements *request_uploaded_new(size_t count, bool no_index);
void request_add_uploaded(Pyenvd__V1__UploadedRequirements *uploaded, const char *name,
	const char *sha256, bool is_package);
/* NULL is fine. */
void request_free_uploaded(Pyenvd__V1__UploadedRequirements *uploaded);
/* The interpreter, as if by its option. */
void request_set_python(struct request *request, const char *python);
/* The lease is held by that process (0: this one), or for so long. */
void request_hold_by_process(struct request *request, int32_t pid);
void request_hold_for(struct request *request, uint32_t seconds);
/* When that process has ended, the one that holds the lease is ended. */
void request_set_guardian(struct request *request, int32_t pid);
