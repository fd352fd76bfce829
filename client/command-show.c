#include <stdio.h>
#include "client/command.h"
#include "client/describe.h"
#include "client/json-output.h"
#include "client/session.h"

static int run(struct session *session, void *data)
{
	Pyenvd__V1__ShowResponse *response;
	struct pyenvd_error error;

	if (pyenvd_show(session->client, session->words[0], &response, &error))
		return session_fail(session, &error);
	if (session->is_json)
		json_output_print(json_output_message(&response->base), stdout);
	else if (response->found_case == PYENVD__V1__SHOW_RESPONSE__FOUND_ENVIRONMENT)
		describe_environment(response->environment, stdout);
	else if (response->found_case == PYENVD__V1__SHOW_RESPONSE__FOUND_LAYER)
		describe_layer(response->layer, stdout);
	else if (response->found_case == PYENVD__V1__SHOW_RESPONSE__FOUND_LEASE)
		describe_lease(response->lease, stdout);
	pyenvd_message_free(response);
	return EXIT_DONE;
}

const struct command command_show = {
	.name = "show",
	.summary = "Show one lease, layer or environment",
	.words = "ID",
	.about = "ID is that of a lease or a layer, or a dependency hash, or the first eight\n"
		 "digits of one or more, if only one fits.",
	.min_words = 1,
	.max_words = 1,
	.run = run,
};
