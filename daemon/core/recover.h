#pragma once
/*
 * The start: makes index and disk agree again, whatever the last daemon left.
 * Loop thread only, before the first request.
 */
#include "daemon/core/artifacts.h"
#include "daemon/core/core.h"
#include "daemon/core/janitor.h"
#include "daemon/core/layers.h"

/* Condemns and deletes; the directories go in the background (janitor). Leases are
 * to be loaded afterwards. */
int recover(struct core *core, struct layers *layers, struct artifacts *artifacts,
	struct janitor *janitor, struct error *err);
