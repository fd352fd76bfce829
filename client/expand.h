#pragma once
/* A Flink job's configuration, said in a request's own fields. Any thread. */
#include "proto/request.h"

/* The same request, which gives the same environment: for who has to change its paths. False:
 * it says nothing by such a configuration, or what the daemon would refuse; then it stays as
 * it is. */
bool expand_flink(struct request *request);
