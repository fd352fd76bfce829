#pragma once
/* Work that several threads share. */
#include <stdint.h>

/* Runs @work(@data) in up to @count threads, of which this one is one, and returns when all
 * have ended. Fewer, if no more can be started. They begin with this thread's identity. */
void threads_run(uint32_t count, void *(*work)(void *), void *data);
