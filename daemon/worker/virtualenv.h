#pragma once
/* Where in a tree the virtualenvs are: directories with a pyvenv.cfg. */
#include "daemon/worker/place.h"

/* "" or "venv/": the first that is the top or just below. False when there is none.
 * The place is sorted, with @count entries. */
bool virtualenv_find(const struct place *place, size_t count, char root[256]);
/* The first Python in its bin; borrowed from the place; NULL. */
const char *virtualenv_find_python(const struct place *place, size_t count, const char *root);

/* Whether @root, "" or ending in a slash, at any depth, is one. */
bool virtualenv_is_at(const struct place *place, const char *root);
/* python, python3, python3.11, python3.13t, pypy3 */
bool virtualenv_is_python(const char *name);
