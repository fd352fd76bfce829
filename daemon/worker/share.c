/*
 * Two requirement sets that have numpy in common have it on the disk once. For each file of
 * the new layer the siblings are asked for one of the same name; if it is the same, byte for
 * byte, it takes the place of ours:
 *
 *	a clone      where the file system can: a file of its own that shares the blocks
 *	a hard link  elsewhere: the sibling's file has one name more
 *
 * Why a hard link between layers is safe. All names of the inode are in layers of the same
 * access, whose trees are ours and read-only: what one user of a layer cannot change, none of
 * another can. The bytes are compared here, no manifest is believed. And nobody can have kept
 * the file open for writing from the time when it was an installer's: such a file gets no read
 * lease (fcntl(2), F_SETLEASE), which is held while we compare and link. An installer's own
 * files, or its cache's, never come here: only what was adopted (adopt.h), the installer being
 * dead.
 *
 * Whoever deletes a layer takes names away, and makes directories writable, never files
 * (sweep.c); a lease's private copy is a copy. Nobody writes in a layer's file: one that is to
 * become another is replaced by a new file of its name (place_replace()), which leaves the
 * inode, and so the other layers, as they were.
 *
 * An inode has one time of modification. The linked file has the sibling's, and so says our
 * manifest. That of a Python file matters where bytecode is checked by it: unless the two
 * have the same, such a file is not linked.
 */
#include "daemon/worker/share.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/fs.h"
#include "daemon/worker/place-internal.h"
#include "daemon/worker/threads.h"

#define BUFFER_SIZE (128 * 1024)

/* What the threads have in common. */
struct sharing {
	struct share *share;
	atomic_size_t next; /* entry to be looked at */
	_Atomic uint64_t bytes;
	atomic_bool can_clone;
};

struct thread {
	struct sharing *sharing;
	struct share *share; /* of it */
	char making[32]; /* what a file is called until it takes its place */
	uint8_t *buffers[2];
};

/* One file of ours, and the one that may take its place. */
struct candidate {
	struct place_entry *entry;
	int ours, theirs;
	struct stat our_st, their_st;
};

static void candidate_deinit(struct candidate *candidate)
{
	cleanup_close(&candidate->ours);
	cleanup_close(&candidate->theirs);
}

/* ---- whether they are the same */

static int open_file(int tree_fd, const char *name, struct stat *st)
{
	int fd = fs_openat2(tree_fd, name, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0, PLACE_HOW);

	if (fd >= 0 && fstat(fd, st) == 0)
		return fd;
	cleanup_close(&fd);
	return -1;
}

static bool may_be_shared(const struct candidate *candidate)
{
	const struct stat *ours = &candidate->our_st, *theirs = &candidate->their_st;

	return S_ISREG(theirs->st_mode) && theirs->st_uid == geteuid() &&
		theirs->st_mode == ours->st_mode && theirs->st_size == ours->st_size &&
		theirs->st_dev == ours->st_dev &&
		fcntl(candidate->theirs, F_SETLEASE, F_RDLCK) == 0;
}

static ssize_t read_block(int fd, uint8_t *to, off_t at)
{
	ssize_t n;

	do
		n = pread(fd, to, BUFFER_SIZE, at);
	while (n < 0 && errno == EINTR);
	return n;
}

static bool is_same(const struct thread *thread, const struct candidate *candidate)
{
	uint8_t *const *buffers = thread->buffers;
	off_t at = 0, size = candidate->our_st.st_size;
	ssize_t n = 1;

	for (; at < size && n > 0; at += n) {
		n = read_block(candidate->ours, buffers[0], at);
		if (n <= 0 || read_block(candidate->theirs, buffers[1], at) != n ||
			memcmp(buffers[0], buffers[1], (size_t)n) != 0)
			return false;
	}
	return at == size;
}

/* ---- times */

static size_t find_first(const struct place *place, const char *prefix)
{
	size_t from = 0, to = place->count;

	while (from < to) {
		size_t middle = from + (to - from) / 2;

		if (strcmp(place->entries[middle]->name, prefix) < 0)
			from = middle + 1;
		else
			to = middle;
	}
	return from;
}

/* Flags of 0 in the header: the source's time is compared (PEP 552). */
static bool is_timed(const struct share *share, const struct place_entry *bytecode)
{
	uint8_t header[8];
	struct stat st;
	_cleanup_close_ int fd = open_file(share->tree_fd, bytecode->name, &st);

	return fd < 0 || read(fd, header, sizeof(header)) != sizeof(header) ||
		memcmp(header + 4, (uint8_t[4]){ 0 }, 4) == 0;
}

/* pkg/a.py: any of pkg/__pycache__/a.*.pyc */
static bool needs_its_time(const struct share *share, const char *name)
{
	const struct place *place = share->place;
	const char *slash = strrchr(name, '/'), *leaf = slash ? slash + 1 : name;
	_cleanup_free_ char *prefix = NULL;
	size_t i;

	if (!text_ends_with(leaf, ".py"))
		return false;
	prefix = text_format("%.*s__pycache__/%.*s.", (int)(leaf - name), name,
		(int)(strlen(leaf) - strlen(".py")), leaf);
	for (i = find_first(place, prefix);
		i < place->count && text_starts_with(place->entries[i]->name, prefix); i++)
		if (is_timed(share, place->entries[i]))
			return true;
	return false;
}

/* ---- sharing */

static int take_place(const struct thread *thread, const char *name)
{
	const struct share *share = thread->share;

	return renameat(share->directory_fd, thread->making, share->tree_fd, name) ? -errno : 0;
}

static int make_clone(const struct thread *thread, const struct candidate *candidate)
{
	const struct timespec times[2] = { { 0, UTIME_OMIT }, candidate->our_st.st_mtim };
	_cleanup_close_ int to = openat(thread->share->directory_fd, thread->making,
		O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	int r;

	if (to < 0)
		return -errno;
	r = fs_clone(candidate->theirs, to);
	if (r == 0 && (futimens(to, times) || fchmod(to, candidate->our_st.st_mode & 07777)))
		r = -errno;
	return r ? r : take_place(thread, candidate->entry->name);
}

static int make_link(const struct thread *thread, const struct candidate *candidate)
{
	const struct stat *st = &candidate->their_st;
	char link[32];
	int r;

	if (st->st_mtime != candidate->our_st.st_mtime &&
		needs_its_time(thread->share, candidate->entry->name))
		return -EPERM;
	snprintf(link, sizeof(link), "/proc/self/fd/%d", candidate->theirs);
	if (linkat(AT_FDCWD, link, thread->share->directory_fd, thread->making, AT_SYMLINK_FOLLOW))
		return -errno;
	r = take_place(thread, candidate->entry->name);
	if (r == 0)
		candidate->entry->mtime = st->st_mtime < 0 ? 0 : st->st_mtime;
	return r;
}

static int make_shared(const struct thread *thread, const struct candidate *candidate)
{
	int r = -EOPNOTSUPP;

	if (thread->sharing->can_clone)
		r = make_clone(thread, candidate);
	if (r)
		unlinkat(thread->share->directory_fd, thread->making, 0);
	if (r != -EOPNOTSUPP && r != -ENOTTY && r != -EINVAL && r != -EXDEV)
		return r;
	thread->sharing->can_clone = false;
	r = make_link(thread, candidate);
	if (r)
		unlinkat(thread->share->directory_fd, thread->making, 0);
	return r;
}

static bool share_with(const struct thread *thread, struct candidate *candidate, int sibling)
{
	bool is_shared = false;

	candidate->theirs = open_file(sibling, candidate->entry->name, &candidate->their_st);
	if (candidate->theirs >= 0 && may_be_shared(candidate) && is_same(thread, candidate))
		is_shared = make_shared(thread, candidate) == 0;
	/* And its lease with it. */
	cleanup_close(&candidate->theirs);
	candidate->theirs = -1;
	return is_shared;
}

static void share_file(const struct thread *thread, struct place_entry *entry)
{
	const struct share *share = thread->share;
	_cleanup_(candidate_deinit) struct candidate candidate = { entry, -1, -1 };
	size_t i;

	candidate.ours = open_file(share->tree_fd, entry->name, &candidate.our_st);
	for (i = 0; i < share->sibling_count && candidate.ours >= 0; i++)
		if (share_with(thread, &candidate, share->siblings[i])) {
			thread->sharing->bytes += entry->size;
			return;
		}
}

/* ---- all files */

static void *share_some(void *data)
{
	struct sharing *sharing = data;
	const struct place *place = sharing->share->place;
	_cleanup_free_ uint8_t *buffers = alloc0(2, BUFFER_SIZE);
	struct thread thread = {
		.sharing = sharing,
		.share = sharing->share,
		.buffers = { buffers, buffers + BUFFER_SIZE },
	};
	size_t i;

	snprintf(thread.making, sizeof(thread.making), ".shared-%lx", (long)pthread_self());
	while ((i = sharing->next++) < place->count)
		if (place->entries[i]->type == PLACE_FILE && place->entries[i]->size)
			share_file(&thread, place->entries[i]);
	return NULL;
}

void share_files(struct share *share)
{
	struct sharing sharing = { .share = share, .can_clone = true };

	if (!share->sibling_count)
		return;
	/* Who opens a file for writing that we have a lease of would end us by it. */
	signal(SIGIO, SIG_IGN);
	threads_run(share->threads, share_some, &sharing);
	share->bytes = sharing.bytes;
}
