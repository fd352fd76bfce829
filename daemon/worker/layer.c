#include "daemon/worker/layer.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/fs.h"

_Static_assert(LAYER_MAX_OTHERS + 1 <= FS_MAX_USERS, "all of them can be let in");

int layer_lock(int directory_fd, const char *directory, int *ret, struct error *err)
{
	*ret = openat(directory_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (*ret < 0 || flock(*ret, LOCK_EX))
		return fail_errno(err, -errno, NULL, "cannot lock '%s'", directory);
	return 0;
}

static int allow(const struct layer_access *access)
{
	uid_t uids[LAYER_MAX_OTHERS + 1];
	size_t count = 0, i;

	assert(access->other_count <= LAYER_MAX_OTHERS);
	if (access->uid != geteuid())
		uids[count++] = access->uid;
	for (i = 0; i < access->other_count; i++)
		if (access->others[i] != geteuid())
			uids[count++] = access->others[i];
	return count ? fs_allow_users(access->directory_fd, uids, count, 05) : 0;
}

int layer_set_access(const struct layer_access *access, struct error *err)
{
	mode_t mode = access->is_all ? 0555 : 0500;
	int r;

	if (fchmod(access->directory_fd, mode))
		return fail_errno(
			err, -errno, NULL, "cannot set the mode of '%s'", access->directory);
	r = access->is_all ? 0 : allow(access);
	if (r == -EOPNOTSUPP)
		return fail(err, r, "INTERNAL_ERROR",
			"the file system of '%s' has no access control lists: layers can only be "
			"shared between all users there (sharing = all)",
			access->directory);
	return r ? fail_errno(err, r, NULL, "cannot let uid %d into '%s'", (int)access->uid,
			   access->directory)
		 : 0;
}
