#pragma once
/* All parts put together, and run. */
#include "daemon/config.h"

struct daemon;

/* Becomes the service's user if started as root, and builds everything. */
int daemon_new(const struct config *config, struct daemon **ret, struct error *err);
struct daemon *daemon_free(struct daemon *daemon);
DEFINE_CLEANUP(struct daemon *, daemon_free);

/* Until a signal says stop; then finishes what is in flight. */
int daemon_run(struct daemon *daemon, struct error *err);
