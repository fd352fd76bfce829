#pragma once
/*
 * A path that was built into files, and the one to be there instead. Pure. Any thread.
 */
#include <stdbool.h>
#include "base/error.h"

struct prefix {
	const char *from, *to; /* borrowed; @from is not empty */
	/* It stands in strings that end with a NUL: what they lose in length is made up
	 * behind them, so that nothing else moves. */
	bool is_binary;
};

/* Takes the next bytes of the new content. */
typedef int prefix_write(void *data, const void *bytes, size_t size, struct error *err);

/* Whether there is room for the new one. */
bool prefix_fits(const struct prefix *prefix);
/* Whether there is anything to replace in @text. */
bool prefix_occurs(const struct prefix *prefix, const void *text, size_t size);
/* Hands all of @text to @write, in pieces. */
int prefix_replace(const struct prefix *prefix, const void *text, size_t size, prefix_write *write,
	void *data, struct error *err);
