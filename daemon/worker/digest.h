#pragma once
/* Digests of artifacts. */
#include "daemon/worker/report.h"
#include "daemon/worker/source.h"
#include "daemon/worker/walk.h"

/* Of a file's content; @source is mapped unless empty. @report may be NULL. Any thread. */
int digest_file(const struct source *source, struct report *report, uint8_t ret[SHA256_SIZE],
	struct error *err);
int digest_directory(const struct source *source, const struct identity *peer,
	struct report *report, uint8_t ret[SHA256_SIZE], struct error *err);

/* A directory's digest is that of its canonical listing: for each entry in the order of
 * walk() its type, name, execute bit, and link target or digest of the content. For who
 * walks and reads anyway. */
struct digest_listing;

struct digest_listing *digest_listing_new(void);
struct digest_listing *digest_listing_free(struct digest_listing *listing);
DEFINE_CLEANUP(struct digest_listing *, digest_listing_free);
/* @content: of a file; else NULL. */
void digest_listing_add(struct digest_listing *listing, const struct walk_entry *entry,
	const uint8_t content[SHA256_SIZE]);
void digest_listing_end(struct digest_listing *listing, uint8_t ret[SHA256_SIZE]);
