#pragma once
/* A layer's manifest: mtree, as bsdtar reads it. Written last: a layer without one is
 * not whole. */
#include "base/buffer.h"
#include "daemon/worker/place.h"

/* Writes `manifest` in @directory_fd. @header: lines that go to its head. The place has
 * to be sorted. */
int manifest_write(int directory_fd, struct place *place, const char *header, struct error *err);
/* @name as mtree writes it: what is not plain becomes \ooo. */
void manifest_escape(const char *name, struct buffer *ret);
