#pragma once
/*
 * A verb of pyenvctl is a file, command-<verb>.c, that exports one of these, and a
 * row in pyenvctl.c. One thread.
 */
#include <stdbool.h>
#include <stddef.h>
#include "proto/arguments.h"

struct session;

struct command {
	const char *name;
	const char *words; /* what follows the options, for the usage line; may be "" */
	const char *summary; /* one line */
	const char *about; /* more lines for its own help; NULL: none */
	/* Tables of options; all get the same data. */
	const struct argument *arguments[3];
	size_t data_size; /* zeroed before the options are taken */
	void (*deinit)(void *data); /* may be NULL */
	size_t min_words, max_words;
	bool is_command; /* the words are a command: the first ends the options */
	bool is_long; /* no time limit unless the user sets one */
	bool is_offline; /* needs no daemon */
	/* What every failure exits with; 0: what it is (see EXIT_… below). */
	int failure;
	/* Returns the exit code. */
	int (*run)(struct session *session, void *data);
};

/* Exit codes; documented in pyenvctl.1. */
enum {
	EXIT_DONE = 0,
	EXIT_REFUSED = 1, /* by the daemon, or it ran out of time */
	EXIT_USAGE = 2,
	EXIT_UNREACHABLE = 3,
	EXIT_RUN_FAILED = 125, /* run: before there was a command to execute */
	EXIT_RUN_NOT_EXECUTABLE = 126,
	EXIT_RUN_NOT_FOUND = 127,
};

extern const struct command command_bundle, command_collect, command_create, command_explain,
	command_hash, command_help, command_list, command_release, command_renew, command_run,
	command_show, command_status, command_token, command_upload;

/* --- pyenvctl.c --- */

/* NULL when there is none. The table ends with NULL. */
const struct command *command_find(const char *name);
const struct command *const *command_table(void);
