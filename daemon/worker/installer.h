#pragma once
/*
 * What uv and pip are told, and what they mean when they fail. Pure.
 *
 * Both get all there is to tell by arguments and variables of their own: no configuration of
 * anybody's is read. Where packages are looked for, with its secrets, is told by variables:
 * arguments can be read by every user of the host.
 */
#include <stdbool.h>
#include <stddef.h>
#include "base/error.h"

enum installer_kind {
	INSTALLER_UV,
	INSTALLER_PIP,
};

struct installer {
	enum installer_kind kind;
	const char *uv; /* absolute; of INSTALLER_UV */
	const char *python; /* absolute */
	const char *home; /* PYTHONHOME that it needs; NULL: none */
	/* Absolute: holds requirements.txt and perhaps packages/; is where it may write, as
	 * into the tree. */
	const char *source, *scratch, *tree;
	bool is_offline;
	const char *index_url, *extra_index_urls; /* the second: separated by blanks; or NULL */
};

#define INSTALLER_MAX_WORDS 32
#define INSTALLER_PIP_LOG "pip.log" /* in scratch */

/* NULL-terminated; the words are owned. */
struct installer_command {
	char *argv[INSTALLER_MAX_WORDS], *environment[INSTALLER_MAX_WORDS];
};

void installer_prepare(const struct installer *installer, struct installer_command *ret);
void installer_command_deinit(struct installer_command *command);

struct installer_failure {
	int r; /* negative errno */
	const char *reason;
	const char *words; /* for people */
	bool is_transient; /* it may go well the next time */
};

/* @output: the last lines of what it printed. @log: what pip's own log says, which tells why
 * an index was not heard; may be empty. */
const struct installer_failure *installer_understand(const char *output, const char *log);
