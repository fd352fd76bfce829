#pragma once
/* Directory trees as text, and archives to make them from. For the worker's tests. */
#include <stdbool.h>
#include "base/fs.h"

/* All that is below @path, sorted; the lines of tests/support/worker-archives.py. Owned. */
char *trees_describe(const char *path);
/* The same from a manifest's entries. */
char *trees_describe_manifest(const char *path);

/* …/NAME of the archives; owned. Ends the test when it is not there. */
char *trees_archive(const char *name);
/* NAME.expected; owned. */
char *trees_expected(const char *name);

/* Writes a file, with its directories. */
void trees_write(const char *directory, const char *name, const void *data, size_t size, int mode);
/* The whole file as text; owned; NULL when it is not there. */
char *trees_read(const char *directory, const char *name);
bool trees_exists(const char *directory, const char *name);
