#pragma once
/*
 * A job as the packet that goes to a worker, and a worker's packets as what whoever has
 * sent it does about them. Pure; on that side the only file that knows the messages.
 */
#include "base/buffer.h"
#include "proto/job.h"

/* The packet for @job and the descriptors to send with it (borrowed). */
void wire_encode_job(
	const struct job *job, struct buffer *ret, int fds[JOB_MAX_FDS], size_t *fd_count);

enum wire_event {
	WIRE_OPENED = 1,
	WIRE_DIGESTED, /* in the middle of an extraction */
	WIRE_STARTED, /* in the middle of a start */
	WIRE_PROGRESS,
	WIRE_RESULT, /* the last one */
	WIRE_FAILURE, /* the last one */
};

/* What a result points into. */
struct wire_kept {
	char **texts; /* owned; of job_result.failures, or paths and names of files */
	size_t count;
	void *event; /* owned; the message that other texts are in */
	struct job_file *files; /* owned; what is in them is in texts, or the event */
};

void wire_kept_deinit(struct wire_kept *kept);

/* Reads one packet: what it is, and its content into @result, @kept,
 * @progress or @err. -EBADMSG for what no worker of ours sends. */
int wire_decode_event(const struct job *job, const void *data, size_t size, enum wire_event *ret,
	struct job_result *result, struct wire_kept *kept, struct job_progress *progress,
	struct error *err);
