/*
 * Links come when all files are there, hard links last, for one may lead to a symbolic
 * link. What is made beside the archive's files (bytecode) comes then; and at the very
 * end directories lose the right to be written in.
 */
#include "daemon/worker/place.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/fs.h"
#include "daemon/worker/place-internal.h"

#define MODE_DIRECTORY 0555

/* ---- links */

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
	to->is_linked = true;
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

/* ---- what is made beside */

/* Where it is to lie is a directory: one of the archive's, or a new one. */
static int prepare_parent(struct place *place, const char *name, struct error *err)
{
	_cleanup_free_ char *parent = text_copy(name);
	char *slash = strrchr(parent, '/');
	struct place_entry *entry;

	if (!slash)
		return 0;
	*slash = 0;
	entry = place_find(place, parent);
	if (entry)
		return entry->type == PLACE_DIRECTORY ? 0 : PLACE_E_OCCUPIED;
	if (mkdirat(place->tree_fd, parent, 0700))
		return place_fail_write(place, -errno, parent, err);
	entry = place_append(place, STEAL(parent), PLACE_DIRECTORY);
	map_add(&place->names, &entry->node, entry->name);
	return 0;
}

int place_add_generated(struct place *place, const char *name, int64_t mtime,
	struct place_entry **ret, struct error *err)
{
	struct place_entry *entry = place_find(place, name);
	int r;

	r = prepare_parent(place, name, err);
	if (r)
		return r;
	if (entry && entry->type != PLACE_FILE)
		return PLACE_E_OCCUPIED;
	if (entry) {
		if (unlinkat(place->tree_fd, name, 0))
			return place_fail_write(place, -errno, name, err);
		place_drop(place, entry);
	}
	entry = place_append(place, text_copy(name), PLACE_FILE);
	entry->mtime = mtime;
	entry->is_generated = true;
	map_add(&place->names, &entry->node, entry->name);
	*ret = entry;
	return 0;
}

int place_replace(struct place *place, const char *name, int64_t mtime, struct place_entry **ret,
	struct error *err)
{
	struct place_entry *old = place_find(place, name), *entry;

	assert(old && old->type == PLACE_FILE);
	if (unlinkat(place->tree_fd, name, 0))
		return place_fail_write(place, -errno, name, err);
	place_drop(place, old);
	entry = place_append(place, text_copy(name), PLACE_FILE);
	entry->mtime = mtime;
	entry->is_executable = old->is_executable;
	map_add(&place->names, &entry->node, entry->name);
	*ret = entry;
	return 0;
}

void place_drop(struct place *place, struct place_entry *entry)
{
	/* The bytes of a file with several names are its first name's, and stay. */
	if (!entry->first && !entry->is_linked)
		atomic_fetch_sub(&place->bytes, entry->size);
	map_remove(&place->names, &entry->node);
}

/* ---- the very end */

static int finish_directory(struct place *place, const struct place_entry *entry, struct error *err)
{
	_cleanup_close_ int fd = fs_openat2(
		place->tree_fd, entry->name, O_RDONLY | O_DIRECTORY, 0, PLACE_HOW);
	struct timespec times[2] = { { 0, UTIME_OMIT },
		{ entry->mtime, entry->mtime < 0 ? UTIME_OMIT : 0 } };

	if (fd < 0)
		return place_fail_write(place, fd, entry->name, err);
	if (fchmod(fd, MODE_DIRECTORY) || futimens(fd, times))
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
	if (fchmod(place->tree_fd, MODE_DIRECTORY))
		return place_fail_write(place, -errno, ".", err);
	return 0;
}
