#include "base/fs.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/openat2.h>
#include <linux/posix_acl.h>
#include <linux/posix_acl_xattr.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

int fs_openat2(int dir, const char *path, int flags, mode_t mode, uint64_t resolve)
{
	struct open_how how = {
		.flags = (uint64_t)(flags | O_CLOEXEC),
		.mode = mode,
		.resolve = resolve,
	};
	long fd = syscall(SYS_openat2, dir, path, &how, sizeof(how));

	return fd < 0 ? -errno : (int)fd;
}

int fs_open_directory(int dir, const char *path)
{
	int fd = openat(dir, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

int fs_make_directory(int dir, const char *path, mode_t mode)
{
	struct stat st;

	if (mkdirat(dir, path, mode) == 0)
		return 0;
	if (errno != EEXIST)
		return -errno;
	if (fstatat(dir, path, &st, 0))
		return -errno;
	return S_ISDIR(st.st_mode) ? 0 : -ENOTDIR;
}

int fs_make_directories(const char *path, mode_t mode)
{
	_cleanup_free_ char *copy = text_copy(path);
	char *slash = copy;
	int r;

	while ((slash = strchr(slash + 1, '/'))) {
		*slash = 0;
		r = fs_make_directory(AT_FDCWD, copy, mode);
		*slash = '/';
		if (r)
			return r;
	}
	return fs_make_directory(AT_FDCWD, copy, mode);
}

int fs_write_all(int fd, const void *data, size_t size)
{
	const char *p = data;

	while (size) {
		ssize_t n = write(fd, p, size);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		p += n;
		size -= (size_t)n;
	}
	return 0;
}

int fs_read_file(int dir, const char *path, size_t limit, struct buffer *ret)
{
	_cleanup_close_ int fd = openat(dir, path, O_RDONLY | O_CLOEXEC);
	_cleanup_buffer_ struct buffer buffer = { 0 };
	ssize_t n;

	if (fd < 0)
		return -errno;
	do {
		size_t room = 65536;

		n = read(fd, buffer_reserve(&buffer, room), room);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		buffer.size += (size_t)n;
		if (buffer.size > limit)
			return -EFBIG;
	} while (n);
	*ret = STEAL(buffer);
	return 0;
}

int fs_clone(int from, int to)
{
	return ioctl(to, FICLONE, from) ? -errno : 0;
}

static ssize_t copy_some(int from, int to, void *buffer, size_t size)
{
	ssize_t n = read(from, buffer, size);
	int r;

	if (n < 0)
		return errno == EINTR ? copy_some(from, to, buffer, size) : -errno;
	r = fs_write_all(to, buffer, (size_t)n);
	return r ? r : n;
}

int fs_copy(int from, int to, uint64_t size)
{
	const size_t chunk = 256 * 1024;
	_cleanup_free_ void *buffer = NULL;
	ssize_t n = 1;

	while (size && n > 0) {
		n = copy_file_range(from, NULL, to, NULL, size, 0);
		if (n > 0)
			size -= (uint64_t)n;
	}
	/* Between file systems, and on some, it is refused, in many ways, or gives nothing:
	 * the real errors come again. */
	if (size)
		buffer = alloc0(1, chunk);
	for (n = 1; size && n > 0; size -= n > 0 ? (uint64_t)n : 0)
		n = copy_some(from, to, buffer, size < chunk ? (size_t)size : chunk);
	return n < 0 ? (int)n : size ? -ENODATA : 0;
}

int fs_get_room(int fd, uint64_t *ret)
{
	struct statvfs fs;

	if (fstatvfs(fd, &fs))
		return -errno;
	*ret = (uint64_t)fs.f_bavail * fs.f_frsize;
	return 0;
}

static int compare_uids(const void *a, const void *b)
{
	uid_t x = *(const uid_t *)a, y = *(const uid_t *)b;

	return (x > y) - (x < y);
}

int fs_allow_users(int fd, uid_t *uids, size_t count, unsigned rights)
{
	const uint16_t perm = (uint16_t)rights;
	const uint32_t nobody = (uint32_t)ACL_UNDEFINED_ID;
	struct {
		struct posix_acl_xattr_header header;
		struct posix_acl_xattr_entry entries[FS_MAX_USERS + 4];
	} acl = { .header = { .a_version = POSIX_ACL_XATTR_VERSION } };
	size_t n = 0, i;

	assert(count <= FS_MAX_USERS);
	/* The kernel wants them in order, and each once. */
	qsort(uids, count, sizeof(*uids), compare_uids);
	acl.entries[n++] = (struct posix_acl_xattr_entry){ ACL_USER_OBJ, perm, nobody };
	for (i = 0; i < count; i++)
		if (i == 0 || uids[i] != uids[i - 1])
			acl.entries[n++] = (struct posix_acl_xattr_entry){ ACL_USER, perm,
				uids[i] };
	acl.entries[n++] = (struct posix_acl_xattr_entry){ ACL_GROUP_OBJ, 0, nobody };
	acl.entries[n++] = (struct posix_acl_xattr_entry){ ACL_MASK, perm, nobody };
	acl.entries[n++] = (struct posix_acl_xattr_entry){ ACL_OTHER, 0, nobody };
	return fsetxattr(fd, "system.posix_acl_access", &acl,
		       sizeof(acl.header) + n * sizeof(acl.entries[0]), 0)
		? -errno
		: 0;
}

bool fs_identity_equal(const struct fs_identity *a, const struct fs_identity *b)
{
	return a->dev == b->dev && a->ino == b->ino && a->size == b->size &&
		a->mtime_ns == b->mtime_ns && a->ctime_ns == b->ctime_ns;
}

char *fs_identity_format(const struct fs_identity *f)
{
	return text_format("%llx:%llx:%llu:%lld:%lld", (unsigned long long)f->dev,
		(unsigned long long)f->ino, (unsigned long long)f->size, (long long)f->mtime_ns,
		(long long)f->ctime_ns);
}

int fs_identify(int dir, const char *path, struct fs_identity *ret, enum fs_type *type)
{
	struct statx st;

	if (statx(dir, path, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW | AT_STATX_DONT_SYNC,
		    STATX_BASIC_STATS, &st))
		return -errno;
	*ret = (struct fs_identity){
		.dev = makedev(st.stx_dev_major, st.stx_dev_minor),
		.ino = st.stx_ino,
		.size = st.stx_size,
		.mtime_ns = st.stx_mtime.tv_sec * 1000000000 + st.stx_mtime.tv_nsec,
		.ctime_ns = st.stx_ctime.tv_sec * 1000000000 + st.stx_ctime.tv_nsec,
	};
	*type = S_ISREG(st.stx_mode) ? FS_REGULAR : S_ISDIR(st.stx_mode) ? FS_DIRECTORY : FS_OTHER;
	return 0;
}
