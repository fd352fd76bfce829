#pragma once
/*
 * Makes the nth system call fail, to run a scenario again and again with n
 * growing until it passes unharmed:
 *
 *	for (n = 1;; n++) {
 *		fault_arm(n, ENOSPC, false);
 *		scenario();
 *		if (!fault_disarm())
 *			break;
 *		check that nothing is torn
 *	}
 *
 * Counted are calls of our own code to the functions that
 * tests/unit/meson.build names for the linker (--wrap), and, after fault_watch_sqlite(),
 * SQLite's reads, writes, truncations, mappings and opens. With ENOSPC only
 * what needs room fails. One thread.
 */
#include <stdbool.h>

/* Call number @nth from now fails with @error, and all after it if @stays. */
void fault_arm(unsigned nth, int error, bool stays);
/* Whether it came to that since fault_arm(). */
bool fault_disarm(void);

/* Before the first database is opened. */
void fault_watch_sqlite(void);
