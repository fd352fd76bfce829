#pragma once
/*
 * Uploads that are under way: bytes from a client to an artifact. Loop thread only.
 */
#include "daemon/core/artifacts.h"

struct uploads;
struct upload;

struct uploads *uploads_new(struct core *core, struct artifacts *artifacts);
struct uploads *uploads_free(struct uploads *uploads); /* none is under way */
size_t uploads_count(const struct uploads *uploads);

/* Embedded in the caller's struct. */
struct upload {
	/* to be filled by the caller; borrowed as long as the upload is under way */
	const struct peer *peer;
	char digest[SHA256_HEX_SIZE]; /* lower case */
	uint64_t size;
	/* Once, unless upload_abandon() came first; never from inside a function of this
	 * file. @err NULL: it is an artifact now. It may come early: with a failure, or
	 * because somebody else has brought the same. */
	void (*done)(struct upload *upload, const struct error *err);
	/* It is not full any more. */
	void (*drained)(struct upload *upload);

	/* set here, when it went well: these bytes were not what made the artifact */
	bool was_there;

	/* private to uploads.c */
	struct upload_work *work;
};

enum {
	UPLOAD_E_THERE = 1, /* this user has presented it before: no bytes are wanted */
	UPLOAD_E_LATER, /* done() will come */
};

/* UPLOAD_E_THERE; UPLOAD_E_LATER: bytes may be added. After a failure of this or the next
 * two nothing is left of it, and done() does not come. */
int upload_begin(struct uploads *uploads, struct upload *upload, struct error *err);
int upload_add(struct upload *upload, const void *data, size_t size, struct error *err);
/* There are no more bytes. 0: it is an artifact now; UPLOAD_E_LATER. */
int upload_end(struct upload *upload, struct error *err);
/* Better wait for drained() before adding more. */
bool upload_is_full(const struct upload *upload);
/* Nobody waits any more; nothing is left of it. May be called at any time. */
void upload_abandon(struct upload *upload);

/* For lists. */
struct upload_info {
	const char *id, *digest; /* borrowed */
	uid_t uid;
	uint64_t done_bytes, total_bytes;
	int64_t started;
	pid_t pid;
};

void uploads_visit(struct uploads *uploads,
	void (*visit)(const struct upload_info *info, void *data), void *data);
