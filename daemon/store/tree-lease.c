/*
 * A lease is made from the outside in: the base directory as ourselves (only we
 * may write in leases/), given away while it is empty, the rest as its owner.
 * What is inside belongs to the owner and may be anything by the time we look
 * again: it is looked at with the owner's rights and never through a link. Nor is
 * a file made through what the owner may have mounted on the directory since (a
 * file system of their own can keep whoever asks it waiting).
 */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

#include "base/fs.h"
#include "daemon/store/tree-internal.h"

struct lease {
	const struct tree *tree;
	const char *id;
	const struct identity *owner;
	const struct tree_link *links;
	size_t link_count;
	char work[NAME_MAX + sizeof("/work")]; /* beneath leases/ */
};

static bool is_foreign(const struct identity *owner)
{
	return owner->uid != geteuid();
}

/* Looking once more costs nothing, and a wrong name here would be written to. */
static bool is_inside(const char *path)
{
	const char *part = path;
	size_t length;

	do {
		length = strcspn(part, "/");
		if (length == 0 || (length == 1 && part[0] == '.') ||
			(length == 2 && part[0] == '.' && part[1] == '.'))
			return false;
		part += length + 1;
	} while (part[-1]);
	return true;
}

/* Makes the directories above the last component and opens the lowest; the work
 * directory itself where there are none. */
static int open_parent(int work, const char *target_dir)
{
	_cleanup_free_ char *path = text_copy(target_dir);
	_cleanup_close_ int at = fcntl(work, F_DUPFD_CLOEXEC, 0);
	char *name = path, *slash;

	for (; at >= 0 && (slash = strchr(name, '/')); name = slash + 1) {
		int next, r;

		*slash = 0;
		r = fs_make_directory(at, name, 0700);
		if (r)
			return r;
		next = fs_openat2(at, name, O_PATH | O_DIRECTORY, 0, RESOLVE_INSIDE);
		if (next < 0)
			return next;
		close(at);
		at = next;
	}
	return at < 0 ? -errno : steal_fd(&at);
}

static int make_link_at(const struct tree *tree, const struct tree_link *link, int parent)
{
	const char *slash = strrchr(link->target_dir, '/');
	const char *name = slash ? slash + 1 : link->target_dir;
	_cleanup_free_ char *target = NULL;

	if (!link->layer_id)
		return mkdirat(parent, name, 0700) ? -errno : 0;
	target = text_format("%s/layers/%s/tree", tree->path, link->layer_id);
	return symlinkat(target, parent, name) ? -errno : 0;
}

static int make_link(
	const struct tree *tree, const struct tree_link *link, int work, struct error *err)
{
	_cleanup_close_ int parent = -1;
	int r;

	if (!is_inside(link->target_dir))
		return fail(err, -EINVAL, "TARGET_INVALID",
			"target directory '%s' does not stay inside the working directory",
			link->target_dir);
	if (strchr(link->target_dir, '/')) {
		parent = open_parent(work, link->target_dir);
		if (parent < 0)
			return tree_fail_to_make(err, parent, "target directory", link->target_dir);
	}
	r = make_link_at(tree, link, parent < 0 ? work : parent);
	if (r == -EEXIST)
		return fail(err, r, "TARGET_CONFLICT", "target directory '%s' is there twice",
			link->target_dir);
	return r ? tree_fail_to_make(err, r, "target directory", link->target_dir) : 0;
}

static int fill_lease(const struct lease *lease, struct error *err)
{
	_cleanup_close_ int work = -1;
	size_t i;
	int r;

	if (mkdirat(lease->tree->leases, lease->work, 0700))
		return tree_fail_to_make(err, -errno, "lease", lease->id);
	work = openat(
		lease->tree->leases, lease->work, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (work < 0)
		return tree_fail_to_make(err, -errno, "lease", lease->id);
	for (i = 0; i < lease->link_count; i++) {
		r = make_link(lease->tree, &lease->links[i], work, err);
		if (r)
			return r;
	}
	return 0;
}

/* Backwards through what fill_lease() may have made. What is not there, or not
 * empty because of what comes earlier in the list, is passed over. */
static void empty_lease(const struct lease *lease)
{
	_cleanup_close_ int work = openat(
		lease->tree->leases, lease->work, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	size_t i;

	for (i = lease->link_count; work >= 0 && i-- > 0;) {
		_cleanup_free_ char *path = text_copy(lease->links[i].target_dir);
		char *slash;

		if (!is_inside(path))
			continue;
		unlinkat(work, path, lease->links[i].layer_id ? 0 : AT_REMOVEDIR);
		while ((slash = strrchr(path, '/'))) {
			*slash = 0;
			unlinkat(work, path, AT_REMOVEDIR);
		}
	}
	unlinkat(lease->tree->leases, lease->work, AT_REMOVEDIR);
}

static int fill_as_owner(const struct lease *lease, struct error *err)
{
	bool foreign = is_foreign(lease->owner);
	int r;

	if (foreign &&
		fchownat(lease->tree->leases, lease->id, lease->owner->uid, lease->owner->gid,
			AT_SYMLINK_NOFOLLOW))
		return fail_errno(err, -errno, "INTERNAL_ERROR", "cannot give lease '%s' to uid %u",
			lease->id, lease->owner->uid);
	r = foreign ? identity_assume(lease->owner, err) : 0;
	if (r)
		return r;
	r = fill_lease(lease, err);
	if (r)
		empty_lease(lease);
	if (foreign)
		identity_resume();
	return r;
}

int tree_make_lease(struct tree *tree, const char *id, const struct identity *owner,
	const struct tree_link *links, size_t link_count, struct error *err)
{
	struct lease lease = {
		.tree = tree,
		.id = id,
		.owner = owner,
		.links = links,
		.link_count = link_count,
	};
	int r;

	snprintf(lease.work, sizeof(lease.work), "%s/work", id);
	if (mkdirat(tree->leases, id, 0700)) {
		if (errno == EEXIST)
			return TREE_E_EXISTS;
		return tree_fail_to_make(err, -errno, "lease", id);
	}
	r = fill_as_owner(&lease, err);
	if (r)
		unlinkat(tree->leases, id, AT_REMOVEDIR);
	return r;
}

int tree_open_lease_directory(
	struct tree *tree, const char *id, const char *target_dir, int *ret_fd, struct error *err)
{
	_cleanup_free_ char *path = text_format("%s/work/%s", id, target_dir);
	struct identity owner = { 0 };
	struct stat st;
	int fd, r;

	if (fstatat(tree->leases, id, &st, AT_SYMLINK_NOFOLLOW))
		return fail_errno(err, -errno, "INTERNAL_ERROR", "cannot look at lease '%s'", id);
	owner.uid = st.st_uid;
	owner.gid = st.st_gid;
	r = is_foreign(&owner) ? identity_assume(&owner, err) : 0;
	if (r)
		return r;
	fd = fs_openat2(tree->leases, path, O_RDONLY | O_DIRECTORY, 0, RESOLVE_INSIDE);
	if (is_foreign(&owner))
		identity_resume();
	if (fd < 0)
		return fail_errno(err, fd, "INTERNAL_ERROR", "cannot open '%s' of lease '%s'",
			target_dir, id);
	*ret_fd = fd;
	return 0;
}

static int write_new(int directory, const char *name, const void *data, size_t size)
{
	_cleanup_close_ int fd = openat(
		directory, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0400);
	int r;

	if (fd < 0)
		return -errno;
	r = fs_write_all(fd, data, size);
	if (r)
		unlinkat(directory, name, 0);
	return r;
}

int tree_write_lease_file(struct tree *tree, const char *id, const struct identity *owner,
	const char *name, const void *data, size_t size, struct error *err)
{
	_cleanup_close_ int directory = -1;
	bool foreign = is_foreign(owner);
	int r;

	assert(!strchr(name, '/'));
	r = foreign ? identity_assume(owner, err) : 0;
	if (r)
		return r;
	directory = fs_openat2(
		tree->leases, id, O_PATH | O_DIRECTORY, 0, RESOLVE_INSIDE | RESOLVE_NO_XDEV);
	r = directory < 0 ? directory : write_new(directory, name, data, size);
	if (foreign)
		identity_resume();
	return r ? tree_fail_to_make(err, r, "a file for lease", id) : 0;
}

int tree_remove_empty_lease(struct tree *tree, const char *id)
{
	if (unlinkat(tree->leases, id, AT_REMOVEDIR) == 0 || errno == ENOENT)
		return 0;
	return errno == EEXIST ? -ENOTEMPTY : -errno;
}
