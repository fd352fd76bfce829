#pragma once
/*
 * Layers that others have come in the place of: they go when nobody leases them any more.
 * Loop thread only.
 */
#include "daemon/core/layers.h"

struct superseded;

struct superseded *superseded_new(struct core *core, struct layers *layers);
struct superseded *superseded_free(struct superseded *superseded);

/* One may be free to go: looked for soon, at the start as well. */
void superseded_check(struct superseded *superseded);
void superseded_stop(struct superseded *superseded);
