#pragma once
/* Spans of time as people write them: "90", "90s", "5m", "2h", "1d", "500ms". Any
 * thread. */
#include <stdint.h>
#include "base/error.h"

/* Whole numbers; without a unit, seconds. -EINVAL, -ERANGE. */
int duration_parse(const char *text, uint64_t *ret_ms);

/* A lease's: a second to 30 days. Words name the option --ttl. */
int duration_parse_ttl(const char *text, uint64_t *ret_ms, struct error *err);
