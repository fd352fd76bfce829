#pragma once
/*
 * What a verb works with: the global options, its words, the daemon, and the one way
 * to say that something failed. One thread, one session a process.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/error.h"
#include "client/command.h"
#include "client/pyenvd.h"

struct session {
	const char *program; /* who speaks */
	const struct command *command; /* NULL: none yet */
	/* Global options. */
	const char *socket; /* NULL: the default */
	uint64_t timeout_ms; /* 0: no limit */
	bool has_timeout, is_json, is_quiet, wants_help, wants_version;
	/* What is no option. */
	char **words;
	size_t word_count;
	struct pyenvd *client; /* owned; NULL when not connected */
};

extern const struct argument session_arguments[];

/* EXIT_DONE, or what to exit with: everything was said. Signals are caught then. */
int session_connect(struct session *session);
/* From now on SIGINT, SIGTERM and SIGHUP cancel calls, and end waits of ours (EINTR). */
void session_catch_signals(struct session *session);
/* Closes the connection. Dies of the signal that was caught, if one was. */
void session_deinit(struct session *session);

/* All return the exit code. They print to standard error: as JSON, if asked for. */
int session_fail(const struct session *session, const struct pyenvd_error *error);
/* The same, with "@what: " in front of the message. */
int session_fail_about(
	const struct session *session, const char *what, const struct pyenvd_error *error);
/* What was done here failed, for a reason that a daemon gives as well. */
int session_fail_local(const struct session *session, const struct error *err);
/* Something in the command line is wrong. */
int session_fail_usage(const struct session *session, const struct error *err);
/* Something failed here: @code is the exit code. */
int session_fail_here(const struct session *session, int code, const char *format, ...)
	_printf_(3, 4);
