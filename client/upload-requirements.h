#pragma once
/* Requirements that the daemon cannot read itself. One thread. */
#include "client/upload.h"

/*
 * Makes @path, all that it includes and all packages in the directory @packages (NULL: none)
 * artifacts; *ret names them, and is to be given to request_use_uploaded(). Without @may_send
 * nothing is sent: what is not one already is ARTIFACT_NOT_FOUND. @progress may be NULL.
 * Returns the error's code; an error without a reason says what cannot be read here.
 */
enum pyenvd_code upload_requirements(const struct session *session, const char *path,
	const char *packages, bool may_send, struct progress *progress,
	Pyenvd__V1__UploadedRequirements **ret, struct pyenvd_error *error);
