#include <stdio.h>
#include "base/util.h"
#include "client/command.h"
#include "client/json-output.h"
#include "client/session.h"

static int run(struct session *session, void *data)
{
	const char *id = session->words[0];
	_cleanup_free_ char *token = NULL;
	struct pyenvd_error error;

	if (pyenvd_create_retrieval_token(session->client, id, &token, &error))
		return session_fail(session, &error);
	if (session->is_json)
		json_output_print(
			json_pack("{s:s,s:s}", "lease_id", id, "retrieval_token", token), stdout);
	else
		puts(token);
	return EXIT_DONE;
}

const struct command command_token = {
	.name = "token",
	.summary = "Make a retrieval token for Beam",
	.words = "LEASE",
	.about = "Prints the path of a new file, which goes with the lease.",
	.min_words = 1,
	.max_words = 1,
	.run = run,
};
