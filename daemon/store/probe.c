/*
 * Needed: modes that are kept (read-only layers), symbolic links (virtualenvs,
 * leases), times to the second (bytecode), programs that may run; and where the
 * daemon serves several users, access lists (a layer is entered by its uid alone).
 */
#include "daemon/store/probe.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/identity.h"

#define ODD_TIME 1000000001 /* FAT would make it even */

static bool keeps_links(int fd)
{
	int r = symlinkat("nowhere", fd, "link") ? -errno : 0;

	unlinkat(fd, "link", 0);
	return r != -EPERM && r != -EOPNOTSUPP && r != -ENOSYS;
}

static bool keeps_modes_and_times(int fd)
{
	const struct timespec times[2] = { { .tv_sec = ODD_TIME }, { .tv_sec = ODD_TIME } };
	struct stat st;

	return fchmod(fd, 0555) == 0 && futimens(fd, times) == 0 && fstat(fd, &st) == 0 &&
		(st.st_mode & 07777) == 0555 && st.st_mtime == ODD_TIME && fchmod(fd, 0700) == 0;
}

/* Asking for a list that is not there tells "none" from "no such thing". */
static bool keeps_access_lists(int fd)
{
	return fgetxattr(fd, "system.posix_acl_access", NULL, 0) >= 0 || errno == ENODATA;
}

static const char *find_lack(int fd)
{
	struct statvfs st;

	if (fstatvfs(fd, &st) == 0 && st.f_flag & ST_NOEXEC)
		return "is mounted noexec: no interpreter in a layer could run";
	if (!keeps_links(fd))
		return "is on a file system without symbolic links";
	if (!keeps_modes_and_times(fd))
		return "is on a file system that does not keep modes and times";
	if (identity_may_change() && !keeps_access_lists(fd))
		return "is on a file system without access lists (POSIX ACL)";
	return NULL;
}

int probe_file_system(int directory, const char *path, struct error *err)
{
	_cleanup_close_ int fd = -1;
	const char *lack;
	int r;

	r = fs_make_directory(directory, "probe", 0700);
	/* Full is no lack: what collects must be able to start. */
	if (r == -ENOSPC || r == -EDQUOT)
		return 0;
	if (r)
		return fail_errno(
			err, r, "INTERNAL_ERROR", "cannot make a directory in '%s'", path);
	fd = fs_open_directory(directory, "probe");
	lack = fd < 0 ? "has directories that cannot be opened" : find_lack(fd);
	unlinkat(directory, "probe", AT_REMOVEDIR);
	if (lack)
		return fail(
			err, -EOPNOTSUPP, "INTERNAL_ERROR", "state directory '%s' %s", path, lack);
	return 0;
}
