/*
 * At once means: openat2() with RESOLVE_CACHED, which fails with EAGAIN rather than
 * wait for a disk or a server, on an O_PATH descriptor, which opens nothing (a fifo
 * has no reader, a device no user, afterwards), and statx() without asking a server.
 * Whatever is not plain success goes to a worker, which also finds the words for
 * what is wrong: so they are written in one place.
 */
#include "daemon/core/locate.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Outlives a cancelled struct locate: the pool needs the job until done(). */
struct locate_job {
	struct locate *locate; /* NULL: cancelled */
	char **paths; /* owned */
	size_t path_count;
	struct identity identity;
	struct job job;
};

static void locate_job_free(struct locate_job *job)
{
	size_t i;

	for (i = 0; i < job->path_count; i++)
		free(job->paths[i]);
	free(job->paths);
	identity_deinit(&job->identity);
	free(job);
}

static void on_done(
	struct job *job, int r, const struct job_result *result, const struct error *err)
{
	struct locate_job *self = container_of(job, struct locate_job, job);
	struct locate *locate = STEAL(self->locate);

	if (locate) {
		locate->job = NULL;
		locate->done(locate, result->index, &result->file,
			result->is_directory ? FS_DIRECTORY : FS_REGULAR, r ? err : NULL);
	}
	locate_job_free(self);
}

static int may_execute(int fd)
{
	if (syscall(SYS_faccessat2, fd, "", X_OK, AT_EMPTY_PATH | AT_EACCESS))
		return -errno;
	return 0;
}

/* As the peer. */
static int look(const char *path, bool executable, struct fs_identity *file, enum fs_type *type)
{
	_cleanup_close_ int fd = -1;
	int r;

	fd = fs_openat2(AT_FDCWD, path, O_PATH, 0, RESOLVE_CACHED);
	if (fd < 0)
		return fd;
	r = fs_identify(fd, "", file, type);
	if (r == 0 && executable)
		r = *type == FS_REGULAR ? may_execute(fd) : -EACCES;
	return r;
}

void locate_look(struct locate *locate)
{
	size_t i;
	int r = -ENOENT;

	for (i = 0; i < locate->path_count && r == -ENOENT; i++) {
		r = look(locate->paths[i], locate->executable, &locate->found_file,
			&locate->found_type);
		locate->found_index = i;
	}
	locate->found_r = r;
	locate->is_looked = true;
}

static int ask_worker(struct core *core, struct locate *locate, struct error *err)
{
	struct locate_job *job = new0(struct locate_job);
	size_t i;
	int r;

	job->locate = locate;
	job->path_count = locate->path_count;
	job->paths = new0_array(char *, locate->path_count);
	for (i = 0; i < locate->path_count; i++)
		job->paths[i] = text_copy(locate->paths[i]);
	identity_copy(&job->identity, &locate->peer->identity);
	job->job = (struct job){
		.kind = JOB_LOCATE,
		.peer = &job->identity,
		.locate = {
			.paths = (const char *const *)job->paths,
			.path_count = job->path_count,
			.executable = locate->executable,
		},
		.done = on_done,
	};
	r = pool_submit(core->pool, &job->job, err);
	if (r) {
		locate_job_free(job);
		return r;
	}
	locate->job = job;
	return LOCATE_E_LATER;
}

int locate_begin(struct core *core, struct locate *locate, size_t *index, struct fs_identity *file,
	enum fs_type *type, struct error *err)
{
	int r;

	locate->core = core;
	locate->job = NULL;
	if (!locate->is_looked) {
		r = identity_assume(&locate->peer->identity, err);
		if (r)
			return r;
		locate_look(locate);
		identity_resume();
	}
	if (locate->found_r || locate->found_type == FS_OTHER)
		return ask_worker(core, locate, err);
	*index = locate->found_index;
	*file = locate->found_file;
	*type = locate->found_type;
	return 0;
}

void locate_cancel(struct locate *locate)
{
	struct locate_job *job = STEAL(locate->job);

	if (!job)
		return;
	job->locate = NULL;
	pool_cancel(locate->core->pool, &job->job);
}
