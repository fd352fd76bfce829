/*
 * A signal handler has no argument that could lead it to the session: hence the
 * static variables, written while the handlers are not there (client) or by the
 * handler alone (caught).
 */
#include "client/session.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include "base/util.h"
#include "client/duration.h"
#include "client/format.h"
#include "client/json-output.h"

#define DEFAULT_TIMEOUT_MS 30000

static struct pyenvd *interrupted_client;
static volatile sig_atomic_t caught;
static bool is_catching;

/* --- global options --- */

static int take_socket(void *data, const char *value, struct error *err)
{
	struct session *session = data;

	if (!*value)
		return fail(err, -EINVAL, NULL, "'--socket': the path is empty");
	session->socket = value;
	return 0;
}

static int take_json(void *data, const char *value, struct error *err)
{
	struct session *session = data;

	session->is_json = true;
	return 0;
}

static int take_quiet(void *data, const char *value, struct error *err)
{
	struct session *session = data;

	session->is_quiet = true;
	return 0;
}

static int take_timeout(void *data, const char *value, struct error *err)
{
	struct session *session = data;

	/* What gRPC can say: eight digits of hours; a year is enough. */
	if (duration_parse(value, &session->timeout_ms) ||
		session->timeout_ms > 366 * UINT64_C(86400000))
		return fail(err, -EINVAL, NULL,
			"'--timeout %s': not a duration of up to a year, such as 30s or 5m", value);
	session->has_timeout = true;
	return 0;
}

static int take_help(void *data, const char *value, struct error *err)
{
	struct session *session = data;

	session->wants_help = true;
	return 0;
}

static int take_version(void *data, const char *value, struct error *err)
{
	struct session *session = data;

	session->wants_version = true;
	return 0;
}

const struct argument session_arguments[] = {
	{ "socket", 0, "PATH",
		"the daemon's socket; default: $PYENVD_SOCKET, else\n"
		"/run/pyenvd/pyenvd.sock, else that of the user's own\n"
		"daemon in $XDG_RUNTIME_DIR",
		take_socket },
	{ "timeout", 0, "DURATION",
		"the most a call may take (90, 90s, 5m, 2h, 1d);\n"
		"default: 30s, but no limit for create, run, explain,\n"
		"upload and collect",
		take_timeout },
	{ "json", 0, NULL, "print JSON, errors too", take_json },
	{ "quiet", 'q', NULL, "no progress on the terminal", take_quiet },
	{ "help", 'h', NULL, "show this", take_help },
	{ "version", 0, NULL, "show the version", take_version },
	{ 0 },
};

/* --- connection --- */

static void on_signal(int number)
{
	caught = number;
	if (interrupted_client)
		pyenvd_cancel(interrupted_client);
}

/* What is ignored (nohup, a shell's background) stays ignored. */
static void set_handlers(void (*handler)(int number))
{
	static const int numbers[] = { SIGINT, SIGTERM, SIGHUP };
	struct sigaction action = { .sa_handler = handler }, old;
	size_t i;

	sigemptyset(&action.sa_mask);
	for (i = 0; i < ARRAY_SIZE(numbers); i++)
		if (sigaction(numbers[i], NULL, &old) == 0 && old.sa_handler != SIG_IGN)
			sigaction(numbers[i], &action, NULL);
}

void session_catch_signals(struct session *session)
{
	interrupted_client = session->client;
	is_catching = true;
	set_handlers(on_signal);
}

int session_connect(struct session *session)
{
	struct pyenvd_error error = { 0 };
	uint64_t timeout_ms = DEFAULT_TIMEOUT_MS;

	if (session->has_timeout)
		timeout_ms = session->timeout_ms;
	if (pyenvd_connect(session->socket, timeout_ms, &session->client, &error)) {
		/* Whatever the reason, there is nobody to talk to. */
		error.code = PYENVD_UNAVAILABLE;
		return session_fail(session, &error);
	}
	if (!session->has_timeout && session->command->is_long)
		timeout_ms = 0;
	pyenvd_set_timeout(session->client, timeout_ms);
	session_catch_signals(session);
	return EXIT_DONE;
}

void session_deinit(struct session *session)
{
	if (!is_catching)
		return;
	set_handlers(SIG_DFL);
	is_catching = false;
	interrupted_client = NULL;
	session->client = pyenvd_close(session->client);
	if (!caught)
		return;
	fflush(NULL);
	raise(caught);
}

/* --- failures --- */

static int exit_code_of(const struct session *session, int code)
{
	bool is_fixed = session->command && session->command->failure;

	return is_fixed && code < EXIT_RUN_FAILED ? session->command->failure : code;
}

static void print_error(const struct session *session, enum pyenvd_code code, const char *reason,
	const char *message)
{
	_cleanup_free_ char *clean = text_copy(message);

	if (session->is_json) {
		json_output_print(
			json_pack("{s:{s:s,s:s,s:s}}", "error", "code", pyenvd_code_name(code),
				"reason", reason, "message", format_clean(clean, true)),
			stderr);
		return;
	}
	fprintf(stderr, "%s: %s\n", session->program, format_clean(clean, true));
}

static int exit_code_for(const struct session *session, const struct pyenvd_error *error)
{
	bool is_lost = error->is_local &&
		(error->code == PYENVD_UNAVAILABLE || error->code == PYENVD_INTERNAL);

	return exit_code_of(session, is_lost ? EXIT_UNREACHABLE : EXIT_REFUSED);
}

int session_fail(const struct session *session, const struct pyenvd_error *error)
{
	print_error(session, error->code, error->reason, error->message);
	return exit_code_for(session, error);
}

int session_fail_about(
	const struct session *session, const char *what, const struct pyenvd_error *error)
{
	_cleanup_free_ char *message = text_format("%s: %s", what, error->message);

	print_error(session, error->code, error->reason, message);
	return exit_code_for(session, error);
}

int session_fail_local(const struct session *session, const struct error *err)
{
	print_error(session, PYENVD_UNKNOWN, err->reason, err->text);
	return exit_code_of(session, EXIT_REFUSED);
}

int session_fail_usage(const struct session *session, const struct error *err)
{
	const char *verb = session->command ? session->command->name : "";

	print_error(session, PYENVD_INVALID_ARGUMENT, "", err->text);
	if (!session->is_json)
		fprintf(stderr, "Try 'pyenvctl%s%s --help'.\n", *verb ? " " : "", verb);
	return exit_code_of(session, EXIT_USAGE);
}

int session_fail_here(const struct session *session, int code, const char *format, ...)
{
	_cleanup_free_ char *message = NULL;
	va_list args;

	va_start(args, format);
	message = text_vformat(format, args);
	va_end(args);
	print_error(session, PYENVD_UNKNOWN, "", message);
	return exit_code_of(session, code);
}
