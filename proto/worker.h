#pragma once
/*
 * A worker process: started, and handed its job. What it answers is read from its socket,
 * a packet at a time (wire.h). Any thread.
 */
#include <sys/types.h>
#include "proto/job.h"

#define WORKER_MAX_PACKET (256 * 1024)

/* @socket is owned by the caller, and @pid to be waited for. Closing the socket ends the
 * worker. -EIO (WORKER_DIED). */
int worker_spawn(const char *program, pid_t *pid, int *socket, struct error *err);
/* Once. */
int worker_send(int socket, const struct job *job, struct error *err);
