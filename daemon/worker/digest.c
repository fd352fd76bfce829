#include "daemon/worker/digest.h"

#include <errno.h>
#include <unistd.h>

#define CHUNK_SIZE (8 << 20)
#define BUFFER_SIZE (256 * 1024)

int digest_file(const struct source *source, struct report *report, uint8_t ret[SHA256_SIZE],
	struct error *err)
{
	_cleanup_(sha256_freep) struct sha256 *sha256 = sha256_new();
	size_t at, n;

	if (report)
		report_phase(report, REPORT_DIGEST, source->size);
	for (at = 0; at < source->size; at += n) {
		n = source->size - at < CHUNK_SIZE ? source->size - at : CHUNK_SIZE;
		sha256_add(sha256, source->data + at, n);
		if (report)
			report_add(report, n, 0);
	}
	sha256_end(sha256, ret);
	return source_check(source, err);
}

/* ---- directories */

struct digest_listing {
	struct sha256 *sha256;
};

struct digest_listing *digest_listing_new(void)
{
	static const char head[] = "pyenvd directory 1";
	struct digest_listing *listing = new0(struct digest_listing);

	listing->sha256 = sha256_new();
	sha256_add(listing->sha256, head, sizeof(head));
	return listing;
}

struct digest_listing *digest_listing_free(struct digest_listing *listing)
{
	if (!listing)
		return NULL;
	sha256_free(listing->sha256);
	free(listing);
	return NULL;
}

void digest_listing_add(struct digest_listing *listing, const struct walk_entry *entry,
	const uint8_t content[SHA256_SIZE])
{
	static const char types[] = {
		[PLACE_FILE] = 'f',
		[PLACE_DIRECTORY] = 'd',
		[PLACE_SYMLINK] = 'l',
	};
	char head[2] = { types[entry->type],
		entry->type == PLACE_FILE && entry->is_executable ? 'x' : '-' };

	sha256_add(listing->sha256, head, sizeof(head));
	sha256_add(listing->sha256, entry->name, strlen(entry->name) + 1);
	if (entry->type == PLACE_SYMLINK)
		sha256_add(listing->sha256, entry->target, strlen(entry->target) + 1);
	else if (entry->type == PLACE_FILE)
		sha256_add(listing->sha256, content, SHA256_SIZE);
}

void digest_listing_end(struct digest_listing *listing, uint8_t ret[SHA256_SIZE])
{
	sha256_end(listing->sha256, ret);
}

struct digesting {
	const struct source *directory;
	struct digest_listing *listing;
	struct report *report;
	struct sha256 *sha256;
	uint8_t *buffer;
};

static int add_entry(const struct walk_entry *entry, void *data, struct error *err)
{
	struct digesting *digesting = data;
	uint8_t content[SHA256_SIZE];
	ssize_t n = 0;

	while (entry->type == PLACE_FILE &&
		(n = read(entry->fd, digesting->buffer, BUFFER_SIZE)) > 0) {
		sha256_add(digesting->sha256, digesting->buffer, (size_t)n);
		report_add(digesting->report, (uint64_t)n, 0);
	}
	if (n < 0)
		return fail_errno(err, -errno, NULL, "cannot read '%s/%s'",
			digesting->directory->path, entry->name);
	sha256_end(digesting->sha256, content);
	digest_listing_add(digesting->listing, entry, content);
	report_add(digesting->report, 0, 1);
	return 0;
}

int digest_directory(const struct source *source, const struct identity *peer,
	struct report *report, uint8_t ret[SHA256_SIZE], struct error *err)
{
	_cleanup_(digest_listing_freep) struct digest_listing *listing = digest_listing_new();
	_cleanup_(sha256_freep) struct sha256 *sha256 = sha256_new();
	_cleanup_free_ uint8_t *buffer = alloc0(1, BUFFER_SIZE);
	struct digesting digesting = { source, listing, report, sha256, buffer };
	int r;

	report_phase(report, REPORT_DIGEST, 0);
	r = walk(source, peer, add_entry, &digesting, err);
	digest_listing_end(listing, ret);
	return r;
}
