#pragma once
/* Makes bundles (bundle.h). Any thread. */
#include "proto/request.h"

/* Writes what @request says of an environment to @fd. The files that it names are held by the
 * bundle, or with @by_name only named. A Flink job's configuration is expanded before
 * (expand.h). -EINVAL for what a bundle cannot say or hold; what was
 * written until then is of no use. */
int bundle_write(const struct request *request, bool by_name, int fd, struct error *err);
