#include <stdio.h>
#include "client/command.h"
#include "client/describe.h"
#include "client/json-output.h"
#include "client/session.h"

static int run(struct session *session, void *data)
{
	Pyenvd__V1__GetStatusResponse *status;
	struct pyenvd_error error;

	if (pyenvd_get_status(session->client, &status, &error))
		return session_fail(session, &error);
	if (session->is_json)
		json_output_print(json_output_message(&status->base), stdout);
	else
		describe_status(status, stdout);
	pyenvd_message_free(status);
	return EXIT_DONE;
}

const struct command command_status = {
	.name = "status",
	.words = "",
	.summary = "Show how the daemon is",
	.run = run,
};
