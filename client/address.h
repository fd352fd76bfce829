#pragma once
/* Where the daemon's socket is, and how to get to it. Any thread. */
#include <stdint.h>
#include <sys/types.h>
#include "base/error.h"

/* What the choice of a socket depends on. */
struct address_hints {
	const char *asked; /* $PYENVD_SOCKET; NULL or empty: not set */
	const char *system; /* the system's socket */
	const char *runtime; /* $XDG_RUNTIME_DIR; NULL or empty: not set */
	uid_t uid;
};

/* The rule of pyenvd_default_path() in pyenvd.h. Never NULL; the caller frees it. */
char *address_choose(const struct address_hints *hints);

/* A non-blocking, close-on-exec descriptor or a negative errno: -ETIMEDOUT after
 * @timeout_ms (0: no limit). */
int address_connect(const char *path, uint64_t timeout_ms, struct error *err);
