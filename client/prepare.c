#include "client/prepare.h"

#include <stdio.h>
#include "base/util.h"
#include "client/progress.h"

int prepare_environment(const struct session *session, struct request *request,
	Pyenvd__V1__CreateEnvironmentResponse **ret)
{
	struct progress progress;
	struct pyenvd_watcher watcher = { .on_progress = progress_update, .data = &progress };
	struct pyenvd_error error = { 0 };
	bool is_watched;

	request_begin(request);
	progress_init(&progress, stderr);
	is_watched = progress.file && !session->is_quiet;
	pyenvd_create_environment(
		session->client, &request->message, is_watched ? &watcher : NULL, ret, &error);
	progress_deinit(&progress);
	return error.code ? session_fail(session, &error) : EXIT_DONE;
}
