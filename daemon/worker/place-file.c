/*
 * Files are created with O_EXCL, beneath the tree, through no link (openat2), with
 * their final mode: the worker's umask is 0. No link exists while an archive's files
 * are written.
 */
#include "daemon/worker/place.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/fs.h"
#include "daemon/worker/place-internal.h"

#define MODE_FILE 0444
#define MODE_EXECUTABLE 0555
#define GRAIN (UINT64_C(1) << 20) /* each thread looks before it goes so far */

/* ---- limits */

static int check_size(struct place *place, uint64_t bytes, struct error *err)
{
	const struct place_limits *limits = &place->limits;

	if (limits->max_bytes && bytes > limits->max_bytes)
		return fail(err, -EFBIG, "LIMIT_EXCEEDED",
			"'%s': more than %llu bytes when extracted (max_layer_bytes)",
			place->source, (unsigned long long)limits->max_bytes);
	return place_check_ratio(place, bytes, err);
}

int place_check_ratio(struct place *place, uint64_t bytes, struct error *err)
{
	const struct place_limits *limits = &place->limits;

	if (limits->max_ratio && bytes > limits->ratio_floor_bytes &&
		bytes / limits->max_ratio > limits->source_bytes)
		return fail(err, -EFBIG, "LIMIT_EXCEEDED",
			"'%s': %llu bytes out of %llu are more than %u times as many (max_ratio)",
			place->source, (unsigned long long)bytes,
			(unsigned long long)limits->source_bytes, limits->max_ratio);
	return 0;
}

int place_check_room(struct place *place, uint64_t wanted, struct error *err)
{
	uint64_t reserve = place->limits.reserve_bytes, room;

	if (fs_get_room(place->tree_fd, &room) || (room >= reserve && room - reserve >= wanted))
		return 0;
	return fail(err, -ENOSPC, "NO_SPACE",
		"'%s': the disk has %llu bytes left, and %llu are wanted beside a reserve of %llu",
		place->source, (unsigned long long)room, (unsigned long long)wanted,
		(unsigned long long)reserve);
}

int place_check_total(struct place *place, uint64_t bytes, struct error *err)
{
	int r;

	r = check_size(place, bytes, err);
	return r ? r : place_check_room(place, bytes, err);
}

/* Counts, and looks closer once in a while. What was generated is bounded by what the
 * archive held, so only the disk can refuse it. */
static int count_bytes(struct place_file *file, uint64_t size, struct error *err)
{
	struct place *place = file->place;
	uint64_t before = atomic_fetch_add(&place->seen, size), after = before + size;
	bool is_over = place->limits.max_bytes && after > place->limits.max_bytes;
	int r = 0;

	if (!file->entry->first)
		atomic_fetch_add(&place->bytes, size);
	if (before / GRAIN == after / GRAIN && !is_over)
		return 0;
	if (!file->entry->is_generated)
		r = check_size(place, after, err);
	return r ? r : place_check_room(place, 0, err);
}

/* ---- files */

void place_file_init(struct place_file *file, struct place *place, struct place_entry *entry,
	struct sha256 *sha256)
{
	*file = (struct place_file){ place, entry, sha256, -1, 0 };
}

/* For archives without Unix modes: what can only be meant to be executed. */
static bool looks_executable(const char *name, const uint8_t *data, size_t size)
{
	return text_starts_with(name, "bin/") || strstr(name, "/bin/") ||
		(size >= 2 && memcmp(data, "#!", 2) == 0) ||
		(size >= 4 && memcmp(data, "\177ELF", 4) == 0);
}

static int open_file(struct place_file *file, const uint8_t *data, size_t size, struct error *err)
{
	struct place_entry *entry = file->entry;

	if (entry->mode_unknown)
		entry->is_executable = looks_executable(entry->name, data, size);
	entry->mode_unknown = false;
	file->fd = fs_openat2(file->place->tree_fd, entry->name,
		O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW,
		entry->is_executable ? MODE_EXECUTABLE : MODE_FILE, PLACE_HOW);
	return file->fd < 0 ? place_fail_write(file->place, file->fd, entry->name, err) : 0;
}

int place_file_write(struct place_file *file, const void *data, size_t size, struct error *err)
{
	int r;

	sha256_add(file->sha256, data, size);
	file->written += size;
	r = count_bytes(file, size, err);
	if (r || file->entry->first)
		return r;
	if (file->fd < 0)
		r = open_file(file, data, size, err);
	if (r)
		return r;
	r = fs_write_all(file->fd, data, size);
	return r ? place_fail_write(file->place, r, file->entry->name, err) : 0;
}

static int make_hole(struct place_file *file, struct error *err)
{
	int r = 0;

	if (file->fd < 0)
		r = open_file(file, (const uint8_t *)"", 0, err);
	if (r)
		return r;
	if (lseek(file->fd, (off_t)file->written, SEEK_SET) < 0 ||
		ftruncate(file->fd, (off_t)file->written))
		return place_fail_write(file->place, -errno, file->entry->name, err);
	return 0;
}

int place_file_skip(struct place_file *file, uint64_t size, struct error *err)
{
	static const uint8_t zeros[65536];
	int r;

	r = count_bytes(file, size, err);
	file->written += size;
	if (r == 0 && !file->entry->first)
		r = make_hole(file, err);
	while (r == 0 && size) {
		size_t n = size < sizeof(zeros) ? (size_t)size : sizeof(zeros);

		sha256_add(file->sha256, zeros, n);
		size -= n;
	}
	return r;
}

int place_file_end(struct place_file *file, struct error *err)
{
	struct place_entry *entry = file->entry;
	struct timespec times[2] = { { 0, UTIME_OMIT }, { entry->mtime, 0 } };
	int r = 0;

	sha256_end(file->sha256, entry->sha256);
	entry->size = file->written;
	if (entry->first)
		return 0;
	if (file->fd < 0)
		r = open_file(file, (const uint8_t *)"", 0, err);
	if (r)
		return r;
	if (futimens(file->fd, times))
		r = place_fail_write(file->place, -errno, entry->name, err);
	place_file_abandon(file);
	return r;
}

const uint8_t *place_file_get_sha256(const struct place_file *file)
{
	return file->entry->sha256;
}

void place_file_abandon(struct place_file *file)
{
	cleanup_close(&file->fd);
	file->fd = -1;
}
