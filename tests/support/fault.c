#include "tests/support/fault.h"

#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static struct {
	unsigned left; /* calls until the one that fails; 0: none will */
	int error;
	bool stays, has_fired;
} fault;

void fault_arm(unsigned nth, int error, bool stays)
{
	fault.left = nth;
	fault.error = error;
	fault.stays = stays;
	fault.has_fired = false;
}

bool fault_disarm(void)
{
	fault.left = 0;
	return fault.has_fired;
}

/* A full disk is in the way of what needs room only. */
static bool is_due(bool needs_room)
{
	if (fault.error == ENOSPC && !needs_room)
		return false;
	if (!fault.left || --fault.left)
		return false;
	fault.has_fired = true;
	if (fault.stays)
		fault.left = 1;
	errno = fault.error;
	return true;
}

/* ---- our own calls; with 64-bit offsets, as meson sets them, some have another name */

#define WRAP(name, needs_room, parameters, arguments)                                              \
	int __real_##name parameters;                                                              \
	int __wrap_##name parameters;                                                              \
	int __wrap_##name parameters                                                               \
	{                                                                                          \
		return is_due(needs_room) ? -1 : __real_##name arguments;                          \
	}

WRAP(mkdirat, true, (int dir, const char *path, mode_t mode), (dir, path, mode))
WRAP(symlinkat, true, (const char *target, int dir, const char *path), (target, dir, path))
WRAP(unlinkat, false, (int dir, const char *path, int flags), (dir, path, flags))
WRAP(fchownat, false, (int dir, const char *path, uid_t uid, gid_t gid, int flags),
	(dir, path, uid, gid, flags))
WRAP(fchmod, false, (int fd, mode_t mode), (fd, mode))
WRAP(fstat64, false, (int fd, struct stat64 *st), (fd, st))
WRAP(flock, false, (int fd, int operation), (fd, operation))

int __real_openat64(int dir, const char *path, int flags, mode_t mode);
int __wrap_openat64(int dir, const char *path, int flags, ...);
int __wrap_openat64(int dir, const char *path, int flags, ...)
{
	mode_t mode = 0;
	va_list args;

	va_start(args, flags);
	if (flags & O_CREAT)
		mode = va_arg(args, mode_t);
	va_end(args);
	return is_due(flags & O_CREAT) ? -1 : __real_openat64(dir, path, flags, mode);
}

int __real_fs_openat2(int dir, const char *path, int flags, mode_t mode, uint64_t resolve);
int __wrap_fs_openat2(int dir, const char *path, int flags, mode_t mode, uint64_t resolve);
int __wrap_fs_openat2(int dir, const char *path, int flags, mode_t mode, uint64_t resolve)
{
	return is_due(false) ? -fault.error : __real_fs_openat2(dir, path, flags, mode, resolve);
}

int __real_fs_write_all(int fd, const void *data, size_t size);
int __wrap_fs_write_all(int fd, const void *data, size_t size);
int __wrap_fs_write_all(int fd, const void *data, size_t size)
{
	return is_due(true) ? -fault.error : __real_fs_write_all(fd, data, size);
}

/* ---- SQLite's calls */

static int sqlite_open(const char *path, int flags, int mode)
{
	return is_due(flags & O_CREAT) ? -1 : open(path, flags, (mode_t)mode);
}

static ssize_t sqlite_pread(int fd, void *data, size_t size, off_t at)
{
	return is_due(false) ? -1 : pread(fd, data, size, at);
}

static ssize_t sqlite_pwrite(int fd, const void *data, size_t size, off_t at)
{
	return is_due(true) ? -1 : pwrite(fd, data, size, at);
}

static int sqlite_ftruncate(int fd, off_t size)
{
	return is_due(false) ? -1 : ftruncate(fd, size);
}

static void *sqlite_mmap(void *at, size_t size, int protection, int flags, int fd, off_t offset)
{
	return is_due(false) ? MAP_FAILED : mmap(at, size, protection, flags, fd, offset);
}

void fault_watch_sqlite(void)
{
	static const struct {
		const char *name;
		sqlite3_syscall_ptr call;
	} calls[] = {
		{ "open", (sqlite3_syscall_ptr)sqlite_open },
		{ "pread", (sqlite3_syscall_ptr)sqlite_pread },
		{ "pread64", (sqlite3_syscall_ptr)sqlite_pread },
		{ "pwrite", (sqlite3_syscall_ptr)sqlite_pwrite },
		{ "pwrite64", (sqlite3_syscall_ptr)sqlite_pwrite },
		{ "ftruncate", (sqlite3_syscall_ptr)sqlite_ftruncate },
		{ "mmap", (sqlite3_syscall_ptr)sqlite_mmap },
	};
	sqlite3_vfs *vfs = sqlite3_vfs_find(NULL);
	size_t i;

	for (i = 0; i < sizeof(calls) / sizeof(calls[0]); i++)
		vfs->xSetSystemCall(vfs, calls[i].name, calls[i].call);
}
