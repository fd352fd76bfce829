#include "client/upload-requirements.h"

#include <stdio.h>
#include "base/util.h"
#include "proto/request.h"
#include "client/requirements-files.h"

/* What was found wrong here, before anything was asked of the daemon. */
static enum pyenvd_code fail_here(const struct error *err, struct pyenvd_error *error)
{
	*error = (struct pyenvd_error){
		.code = *err->reason ? PYENVD_INVALID_ARGUMENT : PYENVD_UNKNOWN,
		.is_local = true,
	};
	snprintf(error->reason, sizeof(error->reason), "%s", err->reason);
	snprintf(error->message, sizeof(error->message), "%s", err->text);
	return error->code;
}

static void name_upload(const char *path, struct pyenvd_error *error)
{
	_cleanup_free_ char *words = text_copy(error->message);

	if (!error->is_local)
		snprintf(error->message, sizeof(error->message), "cannot upload '%s': %s", path,
			words);
}

enum pyenvd_code upload_requirements(const struct session *session, const char *path,
	const char *packages, bool may_send, struct progress *progress,
	Pyenvd__V1__UploadedRequirements **ret, struct pyenvd_error *error)
{
	_cleanup_(requirements_files_deinit) struct requirements_files files = { 0 };
	Pyenvd__V1__UploadedRequirements *uploaded;
	struct uploaded one;
	struct error err = { 0 };
	size_t i;

	*error = (struct pyenvd_error){ 0 };
	if (requirements_files_find(path, packages, &files, &err))
		return fail_here(&err, error);
	uploaded = request_uploaded_new(files.count, packages);
	for (i = 0; i < files.count && !error->code; i++) {
		(may_send ? upload_file : upload_find)(
			session, files.rows[i].path, progress, &one, error);
		if (error->code)
			name_upload(files.rows[i].path, error);
		else
			request_add_uploaded(
				uploaded, files.rows[i].name, one.sha256, files.rows[i].is_package);
	}
	if (error->code)
		request_free_uploaded(uploaded);
	else
		*ret = uploaded;
	return error->code;
}
