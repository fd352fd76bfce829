#pragma once
/* What verbs share that say what an environment is to be. One thread. */
#include "proto/bundle.h"
#include "proto/request.h"
#include "client/session.h"

/* Shows progress unless the user asked for quiet. EXIT_DONE, or the exit code, with
 * everything said. *ret is to be freed with pyenvd_message_free(). @bundle is where the
 * request comes from, NULL if from none: what the daemon lacks of it is uploaded. */
int prepare_environment(const struct session *session, struct request *request,
	const struct bundle *bundle, Pyenvd__V1__CreateEnvironmentResponse **ret);
/* The same; nothing is uploaded. */
int prepare_explanation(const struct session *session, struct request *request,
	Pyenvd__V1__ExplainEnvironmentResponse **ret);
