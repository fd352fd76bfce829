#pragma once
/* What a worker may do, once it has opened what it needs. */
#include "base/error.h"

/* Limits of this process; all jobs. */
int confine_limits(struct error *err);
/* No capability is left, nor can one come back: from here on it only computes, and
 * writes where the daemon's user may. */
int confine(struct error *err);
