#pragma once
/* Private to main.c and work-*.c: a job as it came, and how it is run. */
#include "base/identity.h"
#include "daemon/worker/channel.h"
#include "daemon/worker/place.h"

struct work {
	struct channel *channel;
	struct report *report;
	const Pyenvd__Worker__Job *job;
	struct identity peer; /* borrows the job's groups */
	int fds[CHANNEL_MAX_FDS];
};

struct place_limits work_limits(const Pyenvd__Worker__Limits *limits);
/* Borrows the groups. */
struct identity work_identity(const Pyenvd__Worker__Identity *identity);

int work_read_requirements(struct work *work, struct error *err);
int work_install(struct work *work, struct error *err);
int work_end_user(struct work *work, struct error *err);
int work_end_processes(struct work *work, struct error *err);
int work_start(struct work *work, struct error *err);
