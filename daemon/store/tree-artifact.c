/*
 * An artifact is written into a file without a name, which is gone with whoever has it
 * open, however that ends; it gets its name when it is whole. So there are no half
 * artifacts, and nothing has to be tidied up after one that failed.
 *
 * Removing a large file takes its time, and is a worker's: until then it lies under a
 * name that nobody else wants.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/util.h"
#include "daemon/store/tree-internal.h"

int tree_artifacts_fd(const struct tree *tree)
{
	return tree->artifacts;
}

char *tree_artifact_path(const struct tree *tree, const char *name)
{
	return text_format("%s/artifacts/%s", tree->path, name);
}

int tree_make_artifact(struct tree *tree, int *ret_fd, struct error *err)
{
	int fd = openat(tree->artifacts, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0400);

	if (fd < 0 && (errno == EOPNOTSUPP || errno == EISDIR))
		return fail(err, -ENOSYS, "INTERNAL_ERROR",
			"the file system of '%s' has no files without names (O_TMPFILE): nothing "
			"can be uploaded there",
			tree->path);
	if (fd < 0)
		return tree_fail_to_make(err, -errno, "a file in", "artifacts");
	*ret_fd = fd;
	return 0;
}

int tree_name_artifact(struct tree *tree, int fd, const char *name, struct error *err)
{
	char link[48];

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	if (linkat(AT_FDCWD, link, tree->artifacts, name, AT_SYMLINK_FOLLOW) == 0)
		return 0;
	return errno == EEXIST ? TREE_E_EXISTS : tree_fail_to_make(err, -errno, "artifact", name);
}

int tree_open_artifact(struct tree *tree, const char *name, int *ret_fd, struct fs_identity *ret,
	struct error *err)
{
	_cleanup_close_ int fd = fs_openat2(tree->artifacts, name, O_RDONLY, 0, RESOLVE_INSIDE);
	enum fs_type type;
	int r;

	r = fd < 0 ? fd : fs_identify(fd, "", ret, &type);
	if (r)
		return fail_errno(err, r, "INTERNAL_ERROR", "cannot open artifact '%s'", name);
	*ret_fd = steal_fd(&fd);
	return 0;
}

int tree_allow_artifact(struct tree *tree, const char *name, uid_t uid, struct error *err)
{
	_cleanup_close_ int fd = -1;
	struct fs_identity file;
	int r;

	r = tree_open_artifact(tree, name, &fd, &file, err);
	if (r || uid == geteuid())
		return r;
	r = fs_allow_users(fd, &uid, 1, 04);
	if (r == -EOPNOTSUPP)
		return fail(err, r, "INTERNAL_ERROR",
			"the file system of '%s' has no access control lists: artifacts cannot be "
			"handed out there",
			tree->path);
	return r ? fail_errno(err, r, "INTERNAL_ERROR", "cannot let uid %u read artifact '%s'",
			   (unsigned)uid, name)
		 : 0;
}

bool tree_has_artifact(struct tree *tree, const char *name, uint64_t bytes)
{
	struct stat st;

	return fstatat(tree->artifacts, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
		S_ISREG(st.st_mode) && (uint64_t)st.st_size == bytes;
}

int tree_condemn_artifact(struct tree *tree, const char *name, char ret[ARTIFACT_GONE_SIZE])
{
	char id[9];

	random_id(id, sizeof(id) - 1);
	snprintf(ret, ARTIFACT_GONE_SIZE, "gone.%s", id);
	return renameat(tree->artifacts, name, tree->artifacts, ret) ? -errno : 0;
}
