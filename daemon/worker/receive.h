#pragma once
/* An upload on its way to the disk. */
#include "base/error.h"
#include "base/sha256.h"

/* @size bytes from @from, a pipe, to @to, unless that would leave less than @reserve bytes
 * of its file system; and their digest. */
int receive(int from, int to, uint64_t size, uint64_t reserve, uint8_t ret[SHA256_SIZE],
	struct error *err);
