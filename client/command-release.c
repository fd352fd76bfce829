#include <stdio.h>
#include "client/command.h"
#include "client/json-output.h"
#include "client/session.h"

static int run(struct session *session, void *data)
{
	json_t *releases = json_array();
	struct pyenvd_error error;
	int code = EXIT_DONE;
	bool was_there;
	size_t i;

	for (i = 0; i < session->word_count; i++) {
		const char *id = session->words[i];

		if (pyenvd_release_environment(session->client, id, &was_there, &error)) {
			code = session_fail_about(session, id, &error);
			/* The next may still go well, if there is a daemon. */
			if (error.is_local)
				break;
			continue;
		}
		if (session->is_json)
			json_array_append_new(releases,
				json_pack("{s:s,s:b}", "lease_id", id, "released", was_there));
		else
			printf("%s: %s\n", id, was_there ? "released" : "no such lease");
	}
	if (session->is_json)
		json_output_print(json_pack("{s:O}", "releases", releases), stdout);
	json_decref(releases);
	return code;
}

const struct command command_release = {
	.name = "release",
	.summary = "Give leases back",
	.words = "LEASE…",
	.about = "A lease that is gone is no error.",
	.min_words = 1,
	.max_words = SIZE_MAX,
	.run = run,
};
