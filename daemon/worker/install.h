#pragma once
/*
 * Making a layer out of a requirements file: other people's code is run for it.
 */
#include "base/identity.h"
#include "base/sha256.h"
#include "daemon/worker/installer.h"
#include "daemon/worker/place.h"
#include "daemon/worker/report.h"

#define INSTALL_MAX_TEXT 65536

struct requirements_uploads;

struct install {
	/* What; all borrowed. */
	const char *path, *packages; /* absolute; the second NULL: from an index */
	const struct identity *peer; /* who may read them */
	const struct requirements_uploads *uploads; /* as struct requirements has it, or NULL */
	const uint8_t *expected_sha256; /* what requirements_read() has to find */
	struct installer installer; /* its directories are filled here */
	bool compile;

	/* Where. */
	int directory_fd; /* the layer's; borrowed */
	const char *directory, *header; /* as of an extraction */
	bool access_all;
	uid_t access_uid;

	/* By whom. */
	const struct identity *slot; /* a user that owns nothing else; NULL: we */
	/* The directory of the layer that the interpreter is in, if any; its users, and all
	 * who install, are let into it. -1: it is in none. */
	int interpreter_layer_fd;
	const uid_t *installers;
	size_t installer_count;

	/* Trees of layers of the same access, with which files may be shared; at most
	 * SHARE_MAX_SIBLINGS. */
	const int *siblings;
	size_t sibling_count;

	/* How far. */
	struct place_limits limits;
	uint32_t threads;
	uint64_t until_us; /* of clock_now_us(), for all of it */
	/* Called when the sources are read and programs come next: sets stop_fd (program.h). */
	int (*keep_running)(struct install *install, struct error *err);
	void *data;
	int stop_fd;

	/* Who hears of it. */
	int log_fd; /* borrowed; what the installer prints */
	const char *log_path; /* for messages */
	struct report *report;

	/* What came of it. */
	uint64_t bytes, entries, shared_bytes;
	int lock_fd; /* keep it to the end of the process */
	char *site; /* owned; relative to the tree, separated by ':': where packages are */
	char *scripts; /* owned; relative; empty: there are none */
	char *resolved; /* owned; a line for each package: name, blank, version */
};

/* Reads the sources as the peer and gives up what is not needed, before anything else. */
int install_run(struct install *install, struct error *err);
void install_deinit(struct install *install);
