/*
 * Files are created with O_EXCL, beneath the tree, through no link (openat2), with
 * their final mode: the worker's umask is 0. No link exists while files are written.
 */
#include "daemon/worker/place.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/fs.h"
#include "daemon/worker/place-internal.h"

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
		entry->is_executable ? PLACE_MODE_EXECUTABLE : PLACE_MODE_FILE, PLACE_HOW);
	return file->fd < 0 ? place_fail_write(file->place, file->fd, entry->name, err) : 0;
}

int place_file_write(struct place_file *file, const void *data, size_t size, struct error *err)
{
	int r;

	sha256_add(file->sha256, data, size);
	file->written += size;
	if (file->entry->first)
		return 0;
	r = place_count_bytes(file->place, size, err);
	if (r == 0 && file->fd < 0)
		r = open_file(file, data, size, err);
	if (r)
		return r;
	r = fs_write_all(file->fd, data, size);
	return r ? place_fail_write(file->place, r, file->entry->name, err) : 0;
}

int place_file_skip(struct place_file *file, uint64_t size, struct error *err)
{
	static const uint8_t zeros[65536];
	int r;

	r = file->entry->first ? 0 : place_count_bytes(file->place, size, err);
	if (r == 0 && !file->entry->first && file->fd < 0)
		r = open_file(file, zeros, 0, err);
	if (r)
		return r;
	file->written += size;
	if (!file->entry->first &&
		(lseek(file->fd, (off_t)file->written, SEEK_SET) < 0 ||
			ftruncate(file->fd, (off_t)file->written)))
		return place_fail_write(file->place, -errno, file->entry->name, err);
	while (size) {
		size_t n = size < sizeof(zeros) ? (size_t)size : sizeof(zeros);

		sha256_add(file->sha256, zeros, n);
		size -= n;
	}
	return 0;
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

void place_file_abandon(struct place_file *file)
{
	cleanup_close(&file->fd);
	file->fd = -1;
}

/* ---- the end */

static int make_symlink(struct place *place, struct place_entry *entry, struct error *err)
{
	struct timespec times[2] = { { 0, UTIME_OMIT }, { entry->mtime, 0 } };

	/* Its parent is a directory that we made: no link of ours is on the way, for an
	 * entry beneath a link is refused. */
	if (symlinkat(entry->target, place->tree_fd, entry->name) ||
		utimensat(place->tree_fd, entry->name, times, AT_SYMLINK_NOFOLLOW))
		return place_fail_write(place, -errno, entry->name, err);
	return 0;
}

static int make_hardlink(struct place *place, struct place_entry *entry, struct error *err)
{
	struct place_entry *to = entry->first;

	if (linkat(place->tree_fd, to->name, place->tree_fd, entry->name, 0))
		return place_fail_write(place, -errno, entry->name, err);
	entry->type = to->type;
	entry->is_executable = to->is_executable;
	entry->mtime = to->mtime;
	entry->size = to->size;
	entry->target = text_copy(to->target);
	memcpy(entry->sha256, to->sha256, SHA256_SIZE);
	return 0;
}

int place_finish_links(struct place *place, struct error *err)
{
	int r;

	list_for_each (link, &place->compared) {
		struct place_entry *entry = container_of(link, struct place_entry, link);

		if (entry->size != entry->first->size ||
			memcmp(entry->sha256, entry->first->sha256, SHA256_SIZE) != 0)
			return place_contradict(
				place, entry->name, "is there twice with different content", err);
	}
	list_for_each (link, &place->symlinks) {
		r = make_symlink(place, container_of(link, struct place_entry, link), err);
		if (r)
			return r;
	}
	list_for_each (link, &place->hardlinks) {
		r = make_hardlink(place, container_of(link, struct place_entry, link), err);
		if (r)
			return r;
	}
	return 0;
}

int place_add_made(struct place *place, const char *name, const uint8_t sha256[SHA256_SIZE],
	uint64_t size, int64_t mtime, struct error *err)
{
	_cleanup_free_ char *directory = text_copy(name);
	struct place_entry *entry;
	char *slash = strrchr(directory, '/');
	int r;

	if (slash) {
		*slash = 0;
		if (!place_find(place, directory)) {
			r = place_add_entry(
				place, text_copy(directory), PLACE_DIRECTORY, &entry, err);
			if (r)
				return r;
			map_add(&place->names, &entry->node, entry->name);
		}
	}
	entry = place_find(place, name);
	if (!entry) {
		r = place_add_entry(place, text_copy(name), PLACE_FILE, &entry, err);
		if (r)
			return r;
		map_add(&place->names, &entry->node, entry->name);
	}
	atomic_fetch_add(&place->bytes, size - entry->size);
	entry->size = size;
	entry->mtime = mtime;
	entry->is_executable = false;
	memcpy(entry->sha256, sha256, SHA256_SIZE);
	return 0;
}

void place_forget(struct place *place, const char *name)
{
	struct place_entry *entry = place_find(place, name);

	if (!entry)
		return;
	atomic_fetch_sub(&place->bytes, entry->size);
	map_remove(&place->names, &entry->node);
}

static int finish_directory(struct place *place, const struct place_entry *entry, struct error *err)
{
	_cleanup_close_ int fd = fs_openat2(
		place->tree_fd, entry->name, O_RDONLY | O_DIRECTORY, 0, PLACE_HOW);
	struct timespec times[2] = { { 0, UTIME_OMIT },
		{ entry->mtime, entry->mtime < 0 ? UTIME_OMIT : 0 } };

	if (fd < 0)
		return place_fail_write(place, fd, entry->name, err);
	if (fchmod(fd, PLACE_MODE_DIRECTORY) || futimens(fd, times))
		return place_fail_write(place, -errno, entry->name, err);
	return 0;
}

int place_finish_directories(struct place *place, struct error *err)
{
	size_t i;
	int r;

	for (i = 0; i < place->count; i++) {
		if (place->entries[i]->type != PLACE_DIRECTORY)
			continue;
		r = finish_directory(place, place->entries[i], err);
		if (r)
			return r;
	}
	if (fchmod(place->tree_fd, PLACE_MODE_DIRECTORY))
		return place_fail_write(place, -errno, ".", err);
	return 0;
}
