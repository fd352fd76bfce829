/*
 * Nothing is followed: every directory is opened relative to its parent's descriptor,
 * and never through a link; what is no directory is unlinked. Directories are made
 * writable first, as they are read-only in layers.
 *
 * A layer is large and its directories are many: its top directories are handed out to
 * threads, each of which removes one with all below. A layer's lock is taken first, so
 * that a worker that still writes there is waited for; then its manifest goes, and that
 * is made durable, before anything else does: a layer that is not whole has none.
 */
#include "daemon/worker/remove.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/fs.h"

#define MAX_THREADS 16
#define MAX_SHARED_DEPTH 3

static int empty_directory(int fd);

static int remove_entry(int dir, const char *name, unsigned char type)
{
	_cleanup_close_ int fd = -1;
	int r;

	if (type != DT_DIR) {
		if (unlinkat(dir, name, 0) == 0 || errno == ENOENT)
			return 0;
		if (errno != EISDIR)
			return -errno;
	}
	fd = fs_open_directory(dir, name);
	if (fd == -EACCES) {
		/* A directory that its owner may not read: the mode is ours to change. */
		if (fchmodat(dir, name, 0700, AT_SYMLINK_NOFOLLOW) && errno != EOPNOTSUPP)
			return -errno;
		fd = fs_open_directory(dir, name);
	}
	if (fd < 0)
		return fd;
	r = empty_directory(fd);
	if (unlinkat(dir, name, AT_REMOVEDIR) && errno != ENOENT)
		return r ? r : -errno;
	return 0;
}

/* The first failure; goes on with the rest. */
static int empty_directory(int fd)
{
	int copy = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), r = 0, one;
	struct dirent *entry;
	struct stat st;
	DIR *stream;

	if (copy < 0)
		return -errno;
	if (fstat(fd, &st) == 0 && (st.st_mode & 0700) != 0700)
		fchmod(fd, 0700);
	stream = fdopendir(copy);
	if (!stream) {
		close(copy);
		return -ENOMEM;
	}
	while ((errno = 0, entry = readdir(stream))) {
		if (text_equal(entry->d_name, ".") || text_equal(entry->d_name, ".."))
			continue;
		one = remove_entry(fd, entry->d_name, entry->d_type);
		r = r ? r : one;
	}
	r = r ? r : -errno;
	closedir(stream);
	return r;
}

/* ---- layers: in threads */

struct task {
	int dir; /* borrowed: an open directory of the layer */
	char *name;
};

struct crew {
	struct task *tasks;
	size_t count, allocated;
	int *fds; /* owned: the directories that tasks lie in */
	size_t fd_count;
	_Atomic size_t next;
};

static void add_task(struct crew *crew, int dir, const char *name)
{
	if (crew->count == crew->allocated) {
		crew->allocated = crew->allocated ? crew->allocated * 2 : 64;
		crew->tasks = realloc(crew->tasks, crew->allocated * sizeof(*crew->tasks));
		if (!crew->tasks)
			abort();
	}
	crew->tasks[crew->count++] = (struct task){ dir, text_copy(name) };
}

/* Directories down to some depth: those above are gone through here, those at it become
 * tasks. Failures show later, when what is above cannot be removed. */
static void hand_out(struct crew *crew, int fd, int depth)
{
	int copy = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *stream = copy < 0 ? NULL : fdopendir(copy);
	struct dirent *entry;

	fchmod(fd, 0700);
	while (stream && (entry = readdir(stream))) {
		int below;

		if (entry->d_type != DT_DIR || text_equal(entry->d_name, ".") ||
			text_equal(entry->d_name, ".."))
			continue;
		below = depth < MAX_SHARED_DEPTH ? fs_open_directory(fd, entry->d_name) : -1;
		if (below < 0) {
			add_task(crew, fd, entry->d_name);
			continue;
		}
		crew->fds = realloc(crew->fds, (crew->fd_count + 1) * sizeof(int));
		if (!crew->fds)
			abort();
		crew->fds[crew->fd_count++] = below;
		hand_out(crew, below, depth + 1);
	}
	if (stream)
		closedir(stream);
}

static void *work(void *data)
{
	struct crew *crew = data;
	size_t i;

	while ((i = atomic_fetch_add(&crew->next, 1)) < crew->count)
		remove_entry(crew->tasks[i].dir, crew->tasks[i].name, DT_DIR);
	return NULL;
}

static void crew_run(struct crew *crew, uint32_t threads)
{
	pthread_t others[MAX_THREADS];
	size_t i, started = 0;

	while (started + 1 < threads && started < MAX_THREADS && started + 1 < crew->count &&
		pthread_create(&others[started], NULL, work, crew) == 0)
		started++;
	work(crew);
	for (i = 0; i < started; i++)
		pthread_join(others[i], NULL);
	for (i = 0; i < crew->count; i++)
		free(crew->tasks[i].name);
	for (i = 0; i < crew->fd_count; i++)
		close(crew->fds[i]);
	free(crew->tasks);
	free(crew->fds);
}

static int empty_layer(int fd, uint32_t threads)
{
	struct crew crew = { 0 };

	if (flock(fd, LOCK_EX))
		return -errno;
	fchmod(fd, 0700);
	if (unlinkat(fd, "manifest", 0) == 0)
		fsync(fd);
	hand_out(&crew, fd, 0);
	crew_run(&crew, threads);
	return empty_directory(fd);
}

/* ---- all */

static int empty_as_owner(int fd, const struct identity *owner)
{
	int r;

	r = identity_assume(owner, NULL);
	if (r)
		return r;
	r = empty_directory(fd);
	identity_resume();
	return r;
}

static int remove_one(const struct remove_job *job, const char *name)
{
	_cleanup_close_ int fd = fs_open_directory(job->parent_fd, name);
	int r;

	if (fd == -ENOTDIR || fd == -ELOOP)
		return unlinkat(job->parent_fd, name, 0) ? -errno : 0;
	if (fd == -ENOENT)
		return 0;
	if (fd == -EACCES && job->owner) {
		/* Its owner took it away from everybody but himself. */
		r = identity_assume(job->owner, NULL);
		fd = r ? r : fs_open_directory(job->parent_fd, name);
		if (r == 0)
			identity_resume();
	}
	if (fd < 0)
		return fd;
	r = job->owner            ? empty_as_owner(fd, job->owner)
		: job->are_layers ? empty_layer(fd, job->threads)
				  : empty_directory(fd);
	if (unlinkat(job->parent_fd, name, AT_REMOVEDIR) && errno != ENOENT)
		return r ? r : -errno;
	return 0;
}

void remove_run(struct remove_job *job)
{
	size_t i;
	int r;

	job->failures = new0_array(char *, job->name_count);
	for (i = 0; i < job->name_count; i++) {
		r = strchr(job->names[i], '/') ? -EINVAL : remove_one(job, job->names[i]);
		if (r)
			job->failures[job->failure_count++] = text_format(
				"'%s' cannot be removed: %s", job->names[i], strerror(-r));
	}
}
