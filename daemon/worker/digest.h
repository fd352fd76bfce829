#pragma once
/* Digests of artifacts. */
#include "daemon/worker/report.h"
#include "daemon/worker/source.h"

/* Of a file's content; @source is mapped unless empty. Any thread. */
int digest_file(const struct source *source, uint8_t ret[SHA256_SIZE], struct error *err);
/* Of a directory's canonical listing: for each entry in the order of names its type,
 * name, execute bit, and link target or digest of the content. */
int digest_directory(const struct source *source, const struct identity *peer,
	uint8_t ret[SHA256_SIZE], struct error *err);
