#include "daemon/worker/layer.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/posix_acl.h>
#include <linux/posix_acl_xattr.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#define MAX_ENTRIES (LAYER_MAX_OTHERS + 5)

int layer_lock(int directory_fd, const char *directory, int *ret, struct error *err)
{
	*ret = openat(directory_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (*ret < 0 || flock(*ret, LOCK_EX))
		return fail_errno(err, -errno, NULL, "cannot lock '%s'", directory);
	return 0;
}

struct acl {
	struct posix_acl_xattr_header header;
	struct posix_acl_xattr_entry entries[MAX_ENTRIES];
};

static size_t add(struct acl *acl, size_t n, uint16_t tag, uint16_t rights, uint32_t id)
{
	acl->entries[n] = (struct posix_acl_xattr_entry){ tag, rights, id };
	return n + 1;
}

static int compare_uids(const void *a, const void *b)
{
	uid_t x = *(const uid_t *)a, y = *(const uid_t *)b;

	return (x > y) - (x < y);
}

/* Owner and these users: read and search; nobody else anything. The kernel wants them in
 * order, and each once. */
static int allow_users(int fd, uid_t *uids, size_t count)
{
	const uint16_t enter = ACL_READ | ACL_EXECUTE;
	struct acl acl = { .header = { .a_version = POSIX_ACL_XATTR_VERSION } };
	size_t n, i;

	qsort(uids, count, sizeof(*uids), compare_uids);
	n = add(&acl, 0, ACL_USER_OBJ, enter, (uint32_t)ACL_UNDEFINED_ID);
	for (i = 0; i < count; i++)
		if (i == 0 || uids[i] != uids[i - 1])
			n = add(&acl, n, ACL_USER, enter, uids[i]);
	n = add(&acl, n, ACL_GROUP_OBJ, 0, (uint32_t)ACL_UNDEFINED_ID);
	n = add(&acl, n, ACL_MASK, enter, (uint32_t)ACL_UNDEFINED_ID);
	n = add(&acl, n, ACL_OTHER, 0, (uint32_t)ACL_UNDEFINED_ID);
	return fsetxattr(fd, "system.posix_acl_access", &acl,
		       sizeof(acl.header) + n * sizeof(acl.entries[0]), 0)
		? -errno
		: 0;
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
	return count ? allow_users(access->directory_fd, uids, count) : 0;
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
