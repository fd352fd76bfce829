/*
 * As the author, who may have left directories without any right, in two passes: the first
 * opens up each directory and lists what is there; in the second, threads share the files
 * among them: each is read for its digest, gets its final mode, and is given to us. Then, as
 * ourselves, the rest is given to us, from the top down: a directory has to be ours before
 * we can look into it.
 *
 * A file with several names may have one outside of the tree, by which its author could
 * write to it later; one that is open for writing was handed to a process that still lives,
 * and no change of mode takes that back; and one that the author does not own was linked
 * from elsewhere. So the first two are copied, and the third is not taken.
 */
#include "daemon/worker/adopt.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/buffer.h"
#include "base/fs.h"
#include "daemon/worker/place-internal.h"
#include "daemon/worker/threads.h"

#define BUFFER_SIZE (256 * 1024)
#define MAX_TARGET 4095

struct walk {
	struct adopt *adopt;
	uid_t author;
	_Atomic size_t next; /* the first entry that no thread has looked at */
	_Atomic bool failed;
	pthread_mutex_t lock;
	struct error err; /* the first; under the lock */
};

/* What a thread has for itself. */
struct hand {
	struct walk *walk;
	struct sha256 *sha256; /* owned */
	uint8_t *buffer; /* owned */
	char spare[48]; /* in the tree; for the copy of a file */
};

static int forbid(const char *name, const char *why, struct error *err)
{
	return fail(
		err, -EINVAL, "ENTRY_FORBIDDEN", "the installer left '%s', which %s", name, why);
}

static int check_limits(const struct walk *walk, const char *name, struct error *err)
{
	const struct place_limits *limits = &walk->adopt->place->limits;
	size_t depth = 1;
	const char *c;

	for (c = name; *c; c++)
		depth += *c == '/';
	if (limits->max_entries && walk->adopt->place->count >= limits->max_entries)
		return fail(err, -EFBIG, "LIMIT_EXCEEDED",
			"more than %llu entries were installed (max_layer_entries)",
			(unsigned long long)limits->max_entries);
	if ((limits->max_name && strlen(name) > limits->max_name) ||
		(limits->max_depth && depth > limits->max_depth))
		return fail(err, -EFBIG, "LIMIT_EXCEEDED",
			"the installer left a name that is too long or too deep: '%.200s…'", name);
	return 0;
}

static int add_entry(struct walk *walk, const char *name, enum place_type type,
	const struct stat *st, struct place_entry **ret, struct error *err)
{
	struct place *place = walk->adopt->place;
	int r;

	r = check_limits(walk, name, err);
	if (r)
		return r;
	*ret = place_append(place, text_copy(name), type);
	(*ret)->mtime = st->st_mtime < 0 ? 0 : st->st_mtime;
	map_add(&place->names, &(*ret)->node, (*ret)->name);
	return 0;
}

/* ---- files */

/* In place of one that others may get at: a new one with the same content. */
static int make_sole(struct hand *hand, const char *name, int from)
{
	int tree_fd = hand->walk->adopt->tree_fd;
	_cleanup_close_ int to = fs_openat2(
		tree_fd, hand->spare, O_WRONLY | O_CREAT | O_EXCL, 0600, PLACE_HOW);
	struct stat st;
	ssize_t n;
	int r;

	if (to < 0 || fstat(from, &st))
		return to < 0 ? to : -errno;
	while ((n = read(from, hand->buffer, BUFFER_SIZE)) > 0) {
		r = fs_write_all(to, hand->buffer, (size_t)n);
		if (r)
			return r;
	}
	if (n < 0 || futimens(to, (struct timespec[2]){ { 0, UTIME_OMIT }, st.st_mtim }) ||
		renameat(tree_fd, hand->spare, tree_fd, name))
		return -errno;
	return 0;
}

static int open_to_read(const struct walk *walk, const char *name)
{
	return fs_openat2(walk->adopt->tree_fd, name, O_RDONLY, 0, PLACE_HOW);
}

/* Such a file gets no read lease (fcntl(2), F_SETLEASE). One that gets it keeps it until it
 * is closed, and is ours by then. */
static bool is_open_elsewhere(int fd)
{
	return fcntl(fd, F_SETLEASE, F_RDLCK) && errno == EAGAIN;
}

static int open_file(struct hand *hand, struct place_entry *entry)
{
	const char *name = entry->name;
	int r, fd = open_to_read(hand->walk, name);

	if (fd == -EACCES && fchmodat(hand->walk->adopt->tree_fd, name, 0600, 0) == 0)
		fd = open_to_read(hand->walk, name);
	if (fd < 0 || (!is_open_elsewhere(fd) && !entry->is_linked))
		return fd;
	r = make_sole(hand, name, fd);
	close(fd);
	entry->is_linked = false;
	return r ? r : open_to_read(hand->walk, name);
}

static int digest(struct hand *hand, int fd, struct place_entry *entry)
{
	ssize_t n;

	while ((n = read(fd, hand->buffer, BUFFER_SIZE)) > 0) {
		sha256_add(hand->sha256, hand->buffer, (size_t)n);
		entry->size += (uint64_t)n;
	}
	sha256_end(hand->sha256, entry->sha256);
	return n < 0 ? -errno : 0;
}

static int check_bytes(struct walk *walk, uint64_t more, struct error *err)
{
	struct place *place = walk->adopt->place;
	uint64_t bytes = atomic_fetch_add(&place->bytes, more) + more;

	if (place->limits.max_bytes && bytes > place->limits.max_bytes)
		return fail(err, -EFBIG, "LIMIT_EXCEEDED",
			"more than %llu bytes were installed (max_layer_bytes)",
			(unsigned long long)place->limits.max_bytes);
	return 0;
}

static int take_file(struct hand *hand, struct place_entry *entry, struct error *err)
{
	_cleanup_close_ int fd = open_file(hand, entry);
	int r = fd < 0 ? fd : digest(hand, fd, entry);

	if (r == 0 && fchmod(fd, entry->is_executable ? 0555 : 0444))
		r = -errno;
	if (r == 0 && hand->walk->adopt->author && fchown(fd, geteuid(), getegid()))
		r = -errno;
	if (r)
		return fail_errno(err, r, r == -ENOSPC ? "NO_SPACE" : "INTERNAL_ERROR",
			"cannot take over '%s'", entry->name);
	return check_bytes(hand->walk, entry->size, err);
}

static void keep_error(struct walk *walk, const struct error *err)
{
	pthread_mutex_lock(&walk->lock);
	if (!walk->err.r)
		walk->err = *err;
	pthread_mutex_unlock(&walk->lock);
	walk->failed = true;
}

static void *take_files(void *data)
{
	struct walk *walk = data;
	const struct place *place = walk->adopt->place;
	_cleanup_(sha256_freep) struct sha256 *sha256 = sha256_new();
	_cleanup_free_ uint8_t *buffer = alloc0(1, BUFFER_SIZE);
	struct hand hand = { .walk = walk, .sha256 = sha256, .buffer = buffer };
	struct error err = { 0 };
	size_t i;

	snprintf(hand.spare, sizeof(hand.spare), ".pyenvd-adopted-%lx", (long)pthread_self());
	while (!walk->failed && (i = walk->next++) < place->count)
		if (place->entries[i]->type == PLACE_FILE &&
			take_file(&hand, place->entries[i], &err))
			keep_error(walk, &err);
	return NULL;
}

static int list_file(struct walk *walk, const char *name, const struct stat *st, struct error *err)
{
	struct place_entry *entry;
	int r;

	if (st->st_uid != walk->author)
		return forbid(name, "belongs to somebody else", err);
	r = add_entry(walk, name, PLACE_FILE, st, &entry, err);
	if (r)
		return r;
	entry->is_executable = st->st_mode & 0111;
	entry->is_linked = st->st_nlink > 1;
	return 0;
}

static int list_symlink(struct walk *walk, int parent_fd, const char *leaf, const char *name,
	const struct stat *st, struct error *err)
{
	char target[MAX_TARGET + 1];
	ssize_t n = readlinkat(parent_fd, leaf, target, sizeof(target));
	struct place_entry *entry;
	int r;

	if (n < 0 || n > MAX_TARGET)
		return forbid(name, "is a link that cannot be read", err);
	target[n] = 0;
	r = add_entry(walk, name, PLACE_SYMLINK, st, &entry, err);
	if (r == 0)
		entry->target = text_copy(target);
	return r;
}

/* ---- directories */

static int list_directory(struct walk *walk, int fd, const char *name, struct error *err);

static int enter(struct walk *walk, int parent_fd, const char *leaf, const char *name,
	const struct stat *st, struct error *err)
{
	struct place_entry *entry;
	int fd, r;

	if (st->st_uid != walk->author)
		return forbid(name, "belongs to somebody else", err);
	r = add_entry(walk, name, PLACE_DIRECTORY, st, &entry, err);
	if (r)
		return r;
	if (fchmodat(parent_fd, leaf, 0700, 0))
		return fail_errno(err, -errno, "INTERNAL_ERROR", "cannot take over '%s'", name);
	fd = openat(parent_fd, leaf, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return fail_errno(err, -errno, "INTERNAL_ERROR", "cannot take over '%s'", name);
	return list_directory(walk, fd, name, err);
}

static int list_one(
	struct walk *walk, int parent_fd, const char *leaf, const char *name, struct error *err)
{
	struct stat st;

	if (fstatat(parent_fd, leaf, &st, AT_SYMLINK_NOFOLLOW))
		return fail_errno(err, -errno, "INTERNAL_ERROR", "cannot look at '%s'", name);
	if (S_ISDIR(st.st_mode))
		return enter(walk, parent_fd, leaf, name, &st, err);
	if (S_ISREG(st.st_mode))
		return list_file(walk, name, &st, err);
	if (S_ISLNK(st.st_mode))
		return list_symlink(walk, parent_fd, leaf, name, &st, err);
	return forbid(name, "is a device, fifo or socket", err);
}

/* Takes @fd. */
static int list_directory(struct walk *walk, int fd, const char *name, struct error *err)
{
	DIR *directory = fdopendir(fd);
	struct dirent *entry;
	int r = 0;

	if (!directory) {
		close(fd);
		return fail_errno(err, -errno, "INTERNAL_ERROR", "cannot read '%s'", name);
	}
	while (r == 0 && (entry = readdir(directory))) {
		_cleanup_free_ char *path = text_format(
			"%s%s%s", name, *name ? "/" : "", entry->d_name);

		if (text_equal(entry->d_name, ".") || text_equal(entry->d_name, ".."))
			continue;
		r = list_one(walk, dirfd(directory), entry->d_name, path, err);
	}
	closedir(directory);
	return r;
}

/* ---- all passes */

/* Threads begin as whom their starter is then. */
static int take_all(struct walk *walk, struct error *err)
{
	const struct identity *author = walk->adopt->author;
	int fd, r = 0;

	if (author)
		r = identity_assume(author, err);
	if (r)
		return r;
	fd = openat(walk->adopt->tree_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	r = fd < 0 ? fail_errno(err, -errno, "INTERNAL_ERROR", "cannot open the tree")
		   : list_directory(walk, fd, "", err);
	if (r == 0)
		threads_run(walk->adopt->threads, take_files, walk);
	if (author)
		identity_resume();
	if (walk->err.r)
		*err = walk->err;
	return r ? r : walk->err.r;
}

static int give_all(struct adopt *adopt, struct error *err)
{
	struct place *place = adopt->place;
	size_t i;

	if (!adopt->author)
		return 0;
	if (fchown(adopt->tree_fd, geteuid(), getegid()))
		return fail_errno(err, -errno, "INTERNAL_ERROR", "cannot take over the tree");
	for (i = 0; i < place->count; i++)
		if (place->entries[i]->type != PLACE_FILE &&
			fchownat(adopt->tree_fd, place->entries[i]->name, geteuid(), getegid(),
				AT_SYMLINK_NOFOLLOW))
			return fail_errno(err, -errno, "INTERNAL_ERROR", "cannot take over '%s'",
				place->entries[i]->name);
	return 0;
}

int adopt_tree(struct adopt *adopt, struct error *err)
{
	struct walk walk = {
		.adopt = adopt,
		.author = adopt->author ? adopt->author->uid : geteuid(),
		.lock = PTHREAD_MUTEX_INITIALIZER,
	};
	int r;

	/* Who opens a file for writing that we have a lease of would end us by it. */
	signal(SIGIO, SIG_IGN);
	r = take_all(&walk, err);
	if (r)
		return r;
	/* A directory comes before what is in it. */
	place_sort(adopt->place);
	return give_all(adopt, err);
}
