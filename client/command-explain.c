#include <stdio.h>
#include "client/command.h"
#include "client/describe.h"
#include "client/json-output.h"
#include "client/prepare.h"

static int run(struct session *session, void *data)
{
	Pyenvd__V1__ExplainEnvironmentResponse *response = NULL;
	struct request *request = data;
	int code;

	request_set_base(request, getenv("PATH"), getenv("PYTHONPATH"));
	code = prepare_explanation(session, request, &response);
	if (code)
		return code;
	if (session->is_json)
		json_output_print(json_output_message(&response->base), stdout);
	else
		describe_explanation(response, stdout);
	pyenvd_message_free(response);
	return EXIT_DONE;
}

static void deinit(void *data)
{
	request_deinit(data);
}

const struct command command_explain = {
	.name = "explain",
	.summary = "Say whether an environment is prepared, and if not, what differs",
	.words = "",
	.about = "Takes what create takes; makes nothing. What differs is told from the\n"
		 "nearest environment that is known: what is here is only in the one asked\n"
		 "for, what is there only in the nearest.",
	.arguments = { request_arguments },
	.data_size = sizeof(struct request),
	.deinit = deinit,
	.is_long = true,
	.run = run,
};
