#include <inttypes.h>
#include <stdio.h>
#include "client/command.h"
#include "client/json-output.h"
#include "client/upload.h"

static json_t *row_of(const char *file, const struct uploaded *uploaded)
{
	return json_pack("{s:s,s:s,s:I,s:b}", "file", file, "sha256", uploaded->sha256,
		"size_bytes", (json_int_t)uploaded->size, "was_there", uploaded->was_there);
}

static int run(struct session *session, void *data)
{
	json_t *rows = json_array();
	struct pyenvd_error error;
	struct uploaded uploaded;
	struct progress progress;
	int code = EXIT_DONE;
	size_t i;

	for (i = 0; i < session->word_count; i++) {
		const char *file = session->words[i];

		progress_init(&progress, stderr);
		upload_file(session, file, session->is_quiet ? NULL : &progress, &uploaded, &error);
		progress_deinit(&progress);
		if (error.code) {
			code = error.is_local ? session_fail(session, &error)
					      : session_fail_about(session, file, &error);
			/* The next may still go well, if there is a daemon. */
			if (code == EXIT_UNREACHABLE)
				break;
			continue;
		}
		if (session->is_json)
			json_array_append_new(rows, row_of(file, &uploaded));
		else
			printf("%s  %s\n", uploaded.sha256, file);
	}
	if (session->is_json)
		json_output_print(json_pack("{s:O}", "uploads", rows), stdout);
	json_decref(rows);
	return code;
}

const struct command command_upload = {
	.name = "upload",
	.summary = "Bring files that the daemon cannot read",
	.words = "FILE…",
	.about = "Prints the SHA-256 of each, which creates of the same user may name instead\n"
		 "of a path. What the daemon has is not sent again. create and run do this by\n"
		 "themselves for files that the daemon cannot read.",
	.min_words = 1,
	.max_words = SIZE_MAX,
	.is_long = true,
	.run = run,
};
