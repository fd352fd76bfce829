/*
 * A layer's lock is taken first, so that a worker that still writes there is waited for;
 * then its manifest goes, and that is made durable, before anything else does: a layer
 * that is not whole has none.
 *
 * What is somebody else's is emptied as he: with our rights, a link that he made while we
 * look could lead us to what is not his. One thread then, for acting as somebody is a
 * matter of the thread (identity.h). The directory itself lies in ours, and is ours to
 * remove.
 */
#include "daemon/worker/remove.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/fs.h"
#include "daemon/worker/sweep.h"

struct item {
	struct sweep_top top;
	struct remove_job *job;
	const char *name;
	int r;
};

static int open_layer(int fd)
{
	if (flock(fd, LOCK_EX) || fchmod(fd, 0700))
		return -errno;
	if (unlinkat(fd, "manifest", 0))
		return errno == ENOENT ? 0 : -errno;
	return fsync(fd) ? -errno : 0;
}

/* What an installer that was ended has left is his: it is emptied as he. */
static void empty_foreign(int fd, const char *name)
{
	char *names[] = { (char *)name };
	struct identity owner;
	struct remove_job job = {
		.parent_fd = fd,
		.names = names,
		.name_count = 1,
		.owner = &owner,
		.threads = 1,
	};
	struct stat st;

	if (fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW) || st.st_uid == geteuid() ||
		st.st_uid == 0 || fchmod(fd, 0711))
		return;
	owner = (struct identity){ .uid = st.st_uid, .gid = st.st_gid };
	remove_run(&job);
	remove_deinit(&job);
}

/* Before there are threads. The lock is given back: it is taken again to empty the rest. */
static void empty_installation(const struct remove_job *job, const char *name)
{
	_cleanup_close_ int fd = fs_open_directory(job->parent_fd, name);
	static const char *const parts[] = { "tree", "tmp", "source" };
	size_t i;

	if (fd < 0 || flock(fd, LOCK_EX))
		return;
	for (i = 0; i < ARRAY_SIZE(parts); i++)
		empty_foreign(fd, parts[i]);
}

static int open_item(struct sweep_top *top)
{
	const struct item *item = container_of(top, struct item, top);
	const struct remove_job *job = item->job;
	int fd = fs_open_directory(job->parent_fd, item->name), r;

	if (fd == -EACCES && fchmodat(job->parent_fd, item->name, 0700, AT_SYMLINK_NOFOLLOW) == 0)
		fd = fs_open_directory(job->parent_fd, item->name);
	/* Not a directory at all: it goes in remove_item(). */
	if (fd == -ENOTDIR || fd == -ELOOP)
		return -ENOENT;
	if (fd < 0 || !job->are_layers)
		return fd;
	r = open_layer(fd);
	if (r == 0)
		return fd;
	close(fd);
	return r;
}

static int remove_item(const struct item *item, int r)
{
	int dir = item->job->parent_fd;

	if (unlinkat(dir, item->name, AT_REMOVEDIR) == 0 || errno == ENOENT)
		return 0;
	if (errno == ENOTDIR && unlinkat(dir, item->name, 0) == 0)
		return 0;
	return r ? r : -errno;
}

static void on_done(struct sweep_top *top, int r)
{
	struct item *item = container_of(top, struct item, top);

	item->r = item->job->owner ? r : remove_item(item, r);
}

/* Threads begin as whom their starter is then. */
static void sweep_as_owner(struct item *items, size_t count, uint32_t threads)
{
	struct sweep_top *top;
	size_t i;
	int r;

	for (i = 0; i < count; i++) {
		top = &items[i].top;
		r = identity_assume(items[i].job->owner, NULL);
		if (r == 0) {
			sweep_run(&top, 1, threads);
			identity_resume();
		}
		items[i].r = remove_item(&items[i], r ? r : items[i].r);
	}
}

static void sweep_all(struct item *items, size_t count, uint32_t threads)
{
	_cleanup_free_ struct sweep_top **tops = new0_array(struct sweep_top *, count);
	size_t i;

	for (i = 0; i < count; i++)
		tops[i] = &items[i].top;
	sweep_run(tops, count, threads);
}

static bool is_name(const char *name)
{
	return *name && !strchr(name, '/') && !text_equal(name, ".") && !text_equal(name, "..");
}

static void add_failure(struct remove_job *job, const char *name, int r)
{
	job->failures[job->failure_count++] = text_format(
		"'%s' cannot be removed: %s", name, strerror(-r));
}

void remove_run(struct remove_job *job)
{
	_cleanup_free_ struct item *items = new0_array(struct item, job->name_count);
	size_t i, count = 0;

	job->failures = new0_array(char *, job->name_count);
	for (i = 0; i < job->name_count && job->are_layers && identity_may_change(); i++)
		if (is_name(job->names[i]))
			empty_installation(job, job->names[i]);
	for (i = 0; i < job->name_count; i++)
		if (is_name(job->names[i]))
			items[count++] = (struct item){
				.top = { open_item, on_done },
				.job = job,
				.name = job->names[i],
			};
		else
			add_failure(job, job->names[i], -EINVAL);
	if (job->owner)
		sweep_as_owner(items, count, job->threads);
	else
		sweep_all(items, count, job->threads);
	for (i = 0; i < count; i++)
		if (items[i].r)
			add_failure(job, items[i].name, items[i].r);
}

void remove_deinit(struct remove_job *job)
{
	size_t i;

	for (i = 0; i < job->failure_count; i++)
		free(job->failures[i]);
	free(job->failures);
	job->failures = NULL;
	job->failure_count = 0;
}
