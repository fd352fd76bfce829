#pragma once
/*
 * In what two environments differ, by their components (hash.h), for people. "Here" is the one
 * that was asked about, "there" the one it is compared with. Pure.
 */
#include "daemon/store/db.h"

/* All owned; what is not there is "". */
struct difference {
	char *kind, *name; /* as of a component */
	char *here, *there; /* its values; "" also of variables, whose values nobody is to see */
	char *text; /* one line that says it all */
};

struct differences {
	struct difference *rows; /* owned */
	size_t count;
};

void differences_deinit(struct differences *differences);

/* @here and @there are in the order that they were made in. */
void differences_find(const struct db_components *here, const struct db_components *there,
	struct differences *ret);

/* One that is not about a component; takes @text. */
void differences_add(struct differences *differences, const char *kind, char *text);

/* How many of @there are @here as well; @sorted is @here by difference_compare(). */
size_t difference_count_equal(
	const struct db_components *sorted, const struct db_components *there);
int difference_compare(const void *a, const void *b); /* of two struct db_component */
