#pragma once
/* The create that `create` and `run` share. One thread. */
#include "client/request.h"
#include "client/session.h"

/* Shows progress unless the user asked for quiet. EXIT_DONE, or the exit code, with
 * everything said. *ret is to be freed with pyenvd_message_free(). */
int prepare_environment(const struct session *session, struct request *request,
	Pyenvd__V1__CreateEnvironmentResponse **ret);
