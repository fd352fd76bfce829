#pragma once
/*
 * A client's requirements file, with all that it includes and the directory of packages
 * beside it: what they say, as one digest and, if wanted, as a copy to install from.
 * Nothing is run, and nothing is asked of any network.
 */
#include <stdbool.h>
#include "base/buffer.h"
#include "base/identity.h"
#include "base/sha256.h"
#include "daemon/worker/report.h"

/* One that was read: a file, or the directory of packages itself. */
struct requirements_file {
	char *path; /* owned; absolute, but of an upload */
	char *name; /* owned; as requirements_name_join() has it; NULL: not of a file of lines */
	struct fs_identity identity; /* when it was opened */
	uint8_t digest[SHA256_SIZE]; /* of its content; the directory has none */
};

struct requirements_uploads;

struct requirements {
	/* What is wanted; all borrowed. */
	const char *path; /* absolute */
	const char *packages; /* absolute; a directory, or NULL */
	const struct identity *peer; /* who opens them */
	/* Instead of both paths and the peer, or NULL; then @path is the first one's name. */
	const struct requirements_uploads *uploads;
	/* Nothing may come from a network: a requirement that is a URL is refused, and what
	 * says where packages are to be looked for is left out. */
	bool offline;
	unsigned threads; /* that digest packages */
	/* An empty directory to copy into, or -1. It gets requirements.txt, what that
	 * includes (requirements-1.txt, constraints-2.txt, …) and packages/, all with mode
	 * 0600 or 0700 and ours. After a failure it may hold a part of that. */
	int output_fd;
	uint64_t reserve_bytes; /* what copies of packages must leave free */

	/* What was found. */
	uint8_t digest[SHA256_SIZE];
	/* The digest is still right while each of these is what it was. The first is @path;
	 * the directory of packages, if there is one, and these come last. */
	struct requirements_file *files; /* owned */
	size_t file_count, package_count;
	size_t count; /* requirements; what constraints say is none */
	bool is_pinned; /* each names one content: by ==, ===, or a URL with a digest or commit */
	/* Those requirements as requirements_line_specifier() has them, a line each; empty when
	 * there are too many to be shown. */
	struct buffer specifiers;
	/* uv would refuse or pass over something in it, which pip heeds. */
	bool needs_pip;
};

/*
 * Opens everything as the peer, which may wait for somebody else's disk for ever, then says
 * report_opened(), then copies and digests.
 *
 * The digest is that of the copy, without users and passwords in URLs: comments, blanks
 * and how lines are wrapped make no difference, nor how a file that is included is called;
 * the order of lines does.
 *
 * What cannot be installed from a copy or would be something else at another time is
 * REQUIREMENTS_INVALID, with the file and the line: editable installs, local paths,
 * included URLs, variables of the environment, options that are not known; and what pip and
 * uv would read in two ways. No message has a user, password or more of a line than the name
 * in front.
 *
 * There may be 64 files of a MiB each, 16 MiB together, and 4096 packages: LIMIT_EXCEEDED.
 *
 * Deinit also after a failure. One thread.
 */
int requirements_read(struct requirements *requirements, struct report *report, struct error *err);
void requirements_deinit(struct requirements *requirements);
