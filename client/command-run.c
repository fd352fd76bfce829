/*
 * The lease belongs to this process, which then becomes the command: so it lives
 * exactly as long as the command does, whatever ends it, and nothing has to be
 * cleaned up. If there is nothing to become, the lease ends with us.
 */
#include <errno.h>
#include <stdio.h>
#include <unistd.h>
#include "client/command.h"
#include "client/enter.h"
#include "client/prepare.h"

struct run {
	struct request request; /* first: request_arguments want it there */
	bool is_clean;
};

static int take_clean(void *data, const char *value, struct error *err)
{
	struct run *run = data;

	run->is_clean = true;
	return 0;
}

static const struct argument arguments[] = {
	{ "clean-env", 0, NULL,
		"the command gets the environment's variables and\n"
		"nothing of the caller's",
		take_clean },
	{ 0 },
};

static int enter(const struct session *session, const struct run *run,
	const Pyenvd__V1__CreateEnvironmentResponse *response)
{
	struct error err = { 0 };

	if (run->is_clean)
		clearenv();
	return enter_environment(response, &err) ? session_fail_local(session, &err) : EXIT_DONE;
}

static int execute(struct session *session, void *data)
{
	Pyenvd__V1__CreateEnvironmentResponse *response = NULL;
	struct run *run = data;
	int code, r;

	if (!run->is_clean)
		request_set_base(&run->request, getenv("PATH"), getenv("PYTHONPATH"));
	request_hold_by_process(&run->request, 0);
	code = prepare_environment(session, &run->request, NULL, &response);
	if (code == EXIT_DONE)
		code = enter(session, run, response);
	pyenvd_message_free(response);
	if (code)
		return code;
	/* From here on signals do what they did before. */
	session_deinit(session);
	/* Searches the PATH that was just set. */
	execvp(session->words[0], session->words);
	r = errno;
	return session_fail_here(session,
		r == ENOENT ? EXIT_RUN_NOT_FOUND : EXIT_RUN_NOT_EXECUTABLE,
		"cannot execute '%s': %s", session->words[0], strerror(r));
}

static void deinit(void *data)
{
	struct run *run = data;

	request_deinit(&run->request);
}

const struct command command_run = {
	.name = "run",
	.summary = "Run a command in an environment",
	.words = "[--] COMMAND [ARGUMENT…]",
	.about = "The command starts in the environment's working directory, with its\n"
		 "variables; the lease ends when the command does. The first word that is no\n"
		 "option is the command.",
	.arguments = { request_arguments, arguments },
	.data_size = sizeof(struct run),
	.deinit = deinit,
	.min_words = 1,
	.max_words = SIZE_MAX,
	.is_command = true,
	.is_long = true,
	.failure = EXIT_RUN_FAILED,
	.run = execute,
};
