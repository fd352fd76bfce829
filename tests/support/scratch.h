#pragma once
/* A directory for one test, and what unit tests of the store put into an index. */
#include <stddef.h>
#include <stdint.h>
#include "base/error.h"

struct db;

/* Makes a directory that nobody else has; absolute, to be freed. Ends the test
 * when it cannot. */
char *scratch_make(void);
/* Removes it with all that is in it, whatever its modes, and frees @path. */
void scratch_remove(char *path);

/* A READY layer without an owner: @bytes of one file, key and digest derived from
 * @id. All return what the functions of the index return. */
int scratch_add_layer(
	struct db *db, const char *id, uint64_t bytes, int64_t now, struct error *err);
/* One use of the shared environment @hash, with two components. */
int scratch_use_environment(struct db *db, const char *hash, const char *const *layers,
	size_t count, int64_t now, struct error *err);
/* A lease of uid 1000 on it, held by process 1. */
int scratch_add_lease(struct db *db, const char *id, const char *hash, const char *request_id,
	const char *const *layers, size_t count, struct error *err);
/* A key or hash of 64 digits, made of few. Valid until the next eight calls. */
const char *scratch_hash(const char *digits);
