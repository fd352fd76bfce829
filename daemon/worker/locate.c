#include "daemon/worker/locate.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

/* As the peer. */
static int look(struct worker_locate *locate, const char *path)
{
	_cleanup_close_ int fd = open(path, O_PATH | O_CLOEXEC);
	enum fs_type type;
	int r;

	if (fd < 0)
		return -errno;
	r = fs_identify(fd, "", &locate->identity, &type);
	if (r)
		return r;
	locate->is_directory = type == FS_DIRECTORY;
	if (!locate->executable)
		return 0;
	if (type != FS_REGULAR)
		return -EACCES;
	return syscall(SYS_faccessat2, fd, "", X_OK, AT_EMPTY_PATH | AT_EACCESS) ? -errno : 0;
}

static bool is_missing(int r)
{
	return r == -ENOENT || r == -ENOTDIR;
}

int worker_locate(struct worker_locate *locate, struct error *err)
{
	const char *found = NULL;
	int r = -ENOENT, why = -ENOENT;
	size_t i;

	r = identity_assume(locate->peer, err);
	if (r)
		return r;
	for (i = 0, r = -ENOENT; i < locate->path_count && r; i++) {
		r = look(locate, locate->paths[i]);
		locate->index = i;
		if (r && !is_missing(r) && !found) {
			found = locate->paths[i];
			why = r;
		}
	}
	identity_resume();
	if (r == 0)
		return 0;
	if (!found)
		return fail(err, -ENOENT, "SOURCE_NOT_FOUND", "'%s' is not there",
			locate->path_count ? locate->paths[0] : "");
	if (why == -EACCES || why == -EPERM)
		return fail(err, -EACCES, "SOURCE_UNREADABLE", "'%s' may not be %s by you", found,
			locate->executable ? "executed" : "read");
	return fail_errno(err, why, "SOURCE_NOT_FOUND", "cannot look at '%s'", found);
}
