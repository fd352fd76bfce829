#pragma once
/*
 * Files, always relative to a directory descriptor. All descriptors are
 * close-on-exec. Negative errno on failure, no messages. Any thread.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include "base/buffer.h"

/* openat2(); @resolve is RESOLVE_… from <linux/openat2.h>. A descriptor or a
 * negative errno. */
int fs_openat2(int dir, const char *path, int flags, mode_t mode, uint64_t resolve);

/* Opens a directory for use as a starting point, never through a link at the end. */
int fs_open_directory(int dir, const char *path);

/* mkdir that is content with a directory being there. */
int fs_make_directory(int dir, const char *path, mode_t mode);
/* With all missing parents; absolute path; new ones get @mode. */
int fs_make_directories(const char *path, mode_t mode);

int fs_write_all(int fd, const void *data, size_t size);
/* Up to @limit bytes; -EFBIG when there is more. */
int fs_read_file(int dir, const char *path, size_t limit, struct buffer *ret);

/* Makes the empty @to share all content of @from; few file systems can. */
int fs_clone(int from, int to);
/* @size bytes, from where both stand. -ENODATA when there are less. */
int fs_copy(int from, int to, uint64_t size);
/* Bytes that we may still write to the file system of @fd. */
int fs_get_room(int fd, uint64_t *ret);

#define FS_MAX_USERS 33

/* Its owner and these users (at most FS_MAX_USERS; sorts them) get these rights (octal, as
 * in a mode: 04 read, 05 read and search), and nobody else any. -EOPNOTSUPP: the file
 * system has no access control lists. */
int fs_allow_users(int fd, uid_t *uids, size_t count, unsigned rights);

/* Which file it is, as one comparable value. */
struct fs_identity {
	uint64_t dev, ino, size;
	int64_t mtime_ns, ctime_ns;
};

bool fs_identity_equal(const struct fs_identity *a, const struct fs_identity *b);
/* The same text for equal ones, another for others; owned by the caller. */
char *fs_identity_format(const struct fs_identity *identity);

enum fs_type {
	FS_REGULAR,
	FS_DIRECTORY,
	FS_OTHER,
};

/* statx() of @path beneath @dir (an empty @path: @dir itself), without asking a
 * server (AT_STATX_DONT_SYNC), following no link at the end. */
int fs_identify(int dir, const char *path, struct fs_identity *ret, enum fs_type *type);
