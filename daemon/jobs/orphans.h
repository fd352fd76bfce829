#pragma once
/*
 * What programs leave behind when the worker that ran them is killed by somebody: it
 * becomes the daemon's, where that is a subreaper. Loop thread only.
 */
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* From now on orphans come to us. */
void orphans_adopt(void);
/* Kills all children of this process but @ours. False: some are not dead yet. */
bool orphans_end(const pid_t *ours, size_t count);
