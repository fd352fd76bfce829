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
/* Kills all children of this process but @ours, and what is in a session that one of these
 * leads. False: some are not dead yet. */
bool orphans_end(const pid_t *ours, size_t count);
/* Whether it is, or was until it ended: nobody has waited for it. */
bool orphans_have(pid_t pid);
/* Where orphans come to us: waits for those that have ended; for @ours, and for who is behind them, others do. */
void orphans_reap(const pid_t *ours, size_t count);
