#include "daemon/worker/digest.h"

#include <errno.h>
#include <unistd.h>
#include "daemon/worker/walk.h"

#define BUFFER_SIZE (256 * 1024)

int digest_file(const struct source *source, uint8_t ret[SHA256_SIZE], struct error *err)
{
	_cleanup_(sha256_freep) struct sha256 *sha256 = sha256_new();

	if (source->size)
		sha256_add(sha256, source->data, source->size);
	sha256_end(sha256, ret);
	return source_check(source, err);
}

struct listing {
	struct sha256 *all, *one;
	uint8_t *buffer;
};

static int add_content(struct listing *listing, int fd)
{
	uint8_t digest[SHA256_SIZE];
	ssize_t n;

	while ((n = read(fd, listing->buffer, BUFFER_SIZE)) > 0)
		sha256_add(listing->one, listing->buffer, (size_t)n);
	if (n < 0)
		return -errno;
	sha256_end(listing->one, digest);
	sha256_add(listing->all, digest, sizeof(digest));
	return 0;
}

static int add_entry(const struct walk_entry *entry, void *data, struct error *err)
{
	static const char types[] = {
		[PLACE_FILE] = 'f',
		[PLACE_DIRECTORY] = 'd',
		[PLACE_SYMLINK] = 'l',
	};
	struct listing *listing = data;
	char head[2] = { types[entry->type],
		entry->type == PLACE_FILE && entry->is_executable ? 'x' : '-' };
	int r = 0;

	sha256_add(listing->all, head, sizeof(head));
	sha256_add(listing->all, entry->name, strlen(entry->name) + 1);
	if (entry->type == PLACE_SYMLINK)
		sha256_add(listing->all, entry->target, strlen(entry->target) + 1);
	else if (entry->type == PLACE_FILE)
		r = add_content(listing, entry->fd);
	return r ? fail_errno(err, r, NULL, "cannot read '%s'", entry->name) : 0;
}

int digest_directory(const struct source *source, const struct identity *peer,
	uint8_t ret[SHA256_SIZE], struct error *err)
{
	static const char head[] = "pyenvd directory 1";
	struct listing listing = { sha256_new(), sha256_new(), alloc0(1, BUFFER_SIZE) };
	int r;

	sha256_add(listing.all, head, sizeof(head));
	r = walk(source, peer, add_entry, &listing, err);
	sha256_end(listing.all, ret);
	sha256_free(listing.all);
	sha256_free(listing.one);
	free(listing.buffer);
	return r;
}
