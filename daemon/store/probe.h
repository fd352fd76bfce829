#pragma once
/*
 * Whether a file system can hold layers at all, found by trying: better said once
 * at start, in words, than by each request. Private to the store. Loop thread only.
 */
#include "base/error.h"

/* @path names @directory in messages. -EOPNOTSUPP with what is missing. Leaves
 * nothing behind. Only for who holds the lock. */
int probe_file_system(int directory, const char *path, struct error *err);
