#include "daemon/worker/plain.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>
#include "daemon/worker/digest.h"

#define PIECE_SIZE (8 << 20) /* of what is mapped */
#define CHUNK_SIZE (256 * 1024)

int plain_copy_file(const struct archive_input *input, const char *name, struct error *err)
{
	_cleanup_(sha256_freep) struct sha256 *sha256 = sha256_new();
	struct place_entry_info info = { .name = name, .type = PLACE_FILE };
	const struct source *source = input->source;
	struct place_entry *entry;
	struct place_file file;
	struct stat st;
	size_t at, n;
	int r;

	if (fstat(source->fd, &st))
		return fail_errno(err, -errno, NULL, "cannot look at '%s'", source->path);
	info.mtime = source->identity.mtime_ns / 1000000000;
	info.is_executable = st.st_mode & 0111;
	report_phase(input->report, REPORT_EXTRACT, source->size);
	r = place_check_total(input->place, source->size, err);
	if (r == 0)
		r = place_add(input->place, &info, &entry, err);
	if (r)
		return r;
	place_file_init(&file, input->place, entry, sha256);
	for (at = 0; at < source->size && r == 0; at += n) {
		n = source->size - at < PIECE_SIZE ? source->size - at : PIECE_SIZE;
		r = place_file_write(&file, source->data + at, n, err);
		report_add(input->report, n, 0);
	}
	if (r == 0)
		r = place_file_end(&file, err);
	place_file_abandon(&file);
	report_add(input->report, 0, 1);
	return r;
}

struct copying {
	const struct archive_input *input;
	const char *name;
	struct digest_listing *listing;
	struct sha256 *sha256;
	uint8_t *buffer;
};

static int copy_content(struct copying *copying, const struct walk_entry *from,
	struct place_entry *entry, uint8_t digest[SHA256_SIZE], struct error *err)
{
	struct place_file file;
	ssize_t n;
	int r = 0;

	place_file_init(&file, copying->input->place, entry, copying->sha256);
	while (r == 0 && (n = read(from->fd, copying->buffer, CHUNK_SIZE))) {
		if (n < 0)
			r = fail_errno(err, -errno, NULL, "cannot read '%s/%s'",
				copying->input->source->path, from->name);
		else
			r = place_file_write(&file, copying->buffer, (size_t)n, err);
		report_add(copying->input->report, n > 0 ? (uint64_t)n : 0, 0);
	}
	if (r == 0)
		r = place_file_end(&file, err);
	if (r == 0)
		memcpy(digest, place_file_get_sha256(&file), SHA256_SIZE);
	place_file_abandon(&file);
	return r;
}

static int copy_entry(const struct walk_entry *from, void *data, struct error *err)
{
	struct copying *copying = data;
	_cleanup_free_ char *name = text_format("%s/%s", copying->name, from->name);
	struct place_entry_info info = {
		.name = name,
		.type = from->type,
		.is_executable = from->is_executable,
		.mtime = from->mtime,
		.target = from->target,
	};
	struct place_entry *entry;
	uint8_t digest[SHA256_SIZE];
	int r;

	r = place_add(copying->input->place, &info, &entry, err);
	if (r == 0 && from->type == PLACE_FILE)
		r = copy_content(copying, from, entry, digest, err);
	if (r == 0)
		digest_listing_add(copying->listing, from, digest);
	report_add(copying->input->report, 0, 1);
	return r;
}

int plain_copy_directory(const struct archive_input *input, const struct identity *peer,
	const char *name, uint8_t digest[SHA256_SIZE], struct error *err)
{
	_cleanup_(digest_listing_freep) struct digest_listing *listing = digest_listing_new();
	_cleanup_(sha256_freep) struct sha256 *sha256 = sha256_new();
	_cleanup_free_ uint8_t *buffer = alloc0(1, CHUNK_SIZE);
	struct copying copying = { input, name, listing, sha256, buffer };
	struct place_entry_info top = {
		.name = name,
		.type = PLACE_DIRECTORY,
		.mtime = input->source->identity.mtime_ns / 1000000000,
	};
	struct place_entry *entry;
	int r;

	report_phase(input->report, REPORT_EXTRACT, 0);
	r = place_add(input->place, &top, &entry, err);
	if (r == 0)
		r = walk(input->source, peer, copy_entry, &copying, err);
	digest_listing_end(listing, digest);
	return r;
}
