#pragma once
/* Writing the index's log back into the index. */
#include "base/error.h"

int checkpoint(const char *path, struct error *err);
