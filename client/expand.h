#pragma once
/* A Flink job's configuration, said in a request's own fields. Any thread. */
#include "proto/request.h"

enum {
	EXPAND_E_NONE = 1, /* it says nothing by such a configuration */
};

/* The same request, which gives the same environment: for who has to change its paths, or to
 * write it down. EXPAND_E_NONE; or what the daemon would say to refuse it. Then it stays as it
 * is. */
int expand_flink(struct request *request, struct error *err);
