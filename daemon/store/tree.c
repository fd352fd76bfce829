/*
 * The state directory belongs to this process's user, and nobody else may write
 * in it, so what is found in it needs no second look: names cannot be swapped
 * under our eyes. The one exception is what is inside a lease's directory, which
 * belongs to the lease's owner; there we act as the owner and nothing is ever
 * opened through a link.
 *
 * A lease is made from the outside in: base directory as ourselves (only we may
 * write in leases/), given away while it is empty, the rest as the owner.
 */
#include "daemon/store/tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/fs.h"
#include "daemon/store/probe.h"

/* Never out of the directory, never through a link. */
#define RESOLVE_INSIDE (RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS)

/* Everyone may pass, nobody may list: who knows an id got it from us. */
#define PASS_MODE 0711

struct tree {
	char *path; /* owned; absolute, without links */
	int state, lock, layers, leases; /* owned descriptors */
};

static int check_state_directory(int fd, const char *path, struct error *err)
{
	struct stat st;

	if (fstat(fd, &st))
		return fail_errno(err, -errno, "INTERNAL_ERROR", "cannot look at '%s'", path);
	if (st.st_uid != geteuid())
		return fail(err, -EPERM, "INTERNAL_ERROR",
			"state directory '%s' belongs to uid %u, not to uid %u that I run as", path,
			st.st_uid, geteuid());
	if (st.st_mode & 022)
		return fail(err, -EPERM, "INTERNAL_ERROR",
			"state directory '%s' may be written by others (mode %04o)", path,
			st.st_mode & 07777);
	/* Tasks walk through it to their layers. */
	if ((st.st_mode & 0111) != 0111 && fchmod(fd, (st.st_mode & 07777) | 0111))
		return fail_errno(
			err, -errno, "INTERNAL_ERROR", "cannot change the mode of '%s'", path);
	return 0;
}

static int open_state_directory(struct tree *tree, const char *path, struct error *err)
{
	int r;

	r = fs_make_directories(path, PASS_MODE);
	if (r)
		return fail_errno(
			err, r, "INTERNAL_ERROR", "cannot make the state directory '%s'", path);
	tree->path = realpath(path, NULL);
	if (!tree->path)
		return fail_errno(err, -errno, "INTERNAL_ERROR", "cannot resolve '%s'", path);
	tree->state = fs_open_directory(AT_FDCWD, tree->path);
	if (tree->state < 0)
		return fail_errno(err, tree->state, "INTERNAL_ERROR",
			"cannot open the state directory '%s'", tree->path);
	return check_state_directory(tree->state, tree->path, err);
}

/* Who holds the lock: what it wrote, which is only good for a message. */
static int fail_locked(const struct tree *tree, struct error *err)
{
	char text[16] = "";
	uint64_t pid;

	if (pread(tree->lock, text, sizeof(text) - 1, 0) > 0 && strchr(text, '\n'))
		*strchr(text, '\n') = 0;
	if (parse_u64(text, &pid) == 0)
		fail(err, -EWOULDBLOCK, "INTERNAL_ERROR",
			"state directory '%s' is used by another daemon (process %llu)", tree->path,
			(unsigned long long)pid);
	else
		fail(err, -EWOULDBLOCK, "INTERNAL_ERROR",
			"state directory '%s' is used by another daemon", tree->path);
	return TREE_E_LOCKED;
}

static int take_lock(struct tree *tree, struct error *err)
{
	char text[16];
	int length;

	tree->lock = openat(tree->state, "lock", O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (tree->lock < 0)
		return fail_errno(
			err, -errno, "INTERNAL_ERROR", "cannot open '%s/lock'", tree->path);
	if (flock(tree->lock, LOCK_EX | LOCK_NB)) {
		if (errno == EWOULDBLOCK)
			return fail_locked(tree, err);
		return fail_errno(
			err, -errno, "INTERNAL_ERROR", "cannot lock '%s/lock'", tree->path);
	}
	/* For fail_locked() of others; a full disk must not keep us from starting. */
	length = snprintf(text, sizeof(text), "%d\n", (int)getpid());
	if (pwrite(tree->lock, text, (size_t)length, 0) == length)
		(void)!ftruncate(tree->lock, length);
	return 0;
}

static int open_part(struct tree *tree, const char *name, int *ret, struct error *err)
{
	struct stat st;
	int r;

	r = fs_make_directory(tree->state, name, PASS_MODE);
	if (r == 0) {
		*ret = fs_open_directory(tree->state, name);
		r = *ret < 0 ? *ret : 0;
	}
	if (r == 0 && fstat(*ret, &st))
		r = -errno;
	/* The umask may have had a say. */
	if (r == 0 && (st.st_mode & 07777) != PASS_MODE && fchmod(*ret, PASS_MODE))
		r = -errno;
	if (r)
		return fail_errno(
			err, r, "INTERNAL_ERROR", "cannot make or open '%s/%s'", tree->path, name);
	return 0;
}

int tree_open(const char *path, struct tree **ret, struct error *err)
{
	_cleanup_(tree_closep) struct tree *tree = new0(struct tree);
	int r;

	tree->state = tree->lock = tree->layers = tree->leases = -1;
	r = open_state_directory(tree, path, err);
	if (r == 0)
		r = take_lock(tree, err);
	if (r == 0)
		r = probe_file_system(tree->state, tree->path, err);
	if (r == 0)
		r = open_part(tree, "layers", &tree->layers, err);
	if (r == 0)
		r = open_part(tree, "leases", &tree->leases, err);
	if (r)
		return r;
	*ret = STEAL(tree);
	return 0;
}

struct tree *tree_close(struct tree *tree)
{
	if (!tree)
		return NULL;
	cleanup_close(&tree->leases);
	cleanup_close(&tree->layers);
	cleanup_close(&tree->lock);
	cleanup_close(&tree->state);
	free(tree->path);
	free(tree);
	return NULL;
}

const char *tree_path(const struct tree *tree)
{
	return tree->path;
}

int tree_layers_fd(const struct tree *tree)
{
	return tree->layers;
}

int tree_leases_fd(const struct tree *tree)
{
	return tree->leases;
}

char *tree_layer_path(const struct tree *tree, const char *id)
{
	return text_format("%s/layers/%s", tree->path, id);
}

char *tree_lease_path(const struct tree *tree, const char *id)
{
	return text_format("%s/leases/%s", tree->path, id);
}

/* What a failure to make something means to a client. */
static int fail_to_make(struct error *err, int r, const char *what, const char *id)
{
	bool is_full = r == -ENOSPC || r == -EDQUOT;

	return fail_errno(
		err, r, is_full ? "NO_SPACE" : "INTERNAL_ERROR", "cannot make %s '%s'", what, id);
}

/* ---- layers */

int tree_make_layer(struct tree *tree, const char *id, int *ret_fd, struct error *err)
{
	int fd;

	if (mkdirat(tree->layers, id, 0700)) {
		if (errno == EEXIST)
			return TREE_E_EXISTS;
		return fail_to_make(err, -errno, "layer", id);
	}
	fd = fs_open_directory(tree->layers, id);
	if (fd < 0) {
		unlinkat(tree->layers, id, AT_REMOVEDIR);
		return fail_to_make(err, fd, "layer", id);
	}
	*ret_fd = fd;
	return 0;
}

int tree_open_layer_tree(struct tree *tree, const char *id, int *ret_fd, struct error *err)
{
	_cleanup_free_ char *path = text_format("%s/tree", id);
	int fd = fs_openat2(tree->layers, path, O_RDONLY | O_DIRECTORY, 0, RESOLVE_INSIDE);

	if (fd < 0)
		return fail_errno(err, fd, "INTERNAL_ERROR", "cannot open layer '%s'", id);
	*ret_fd = fd;
	return 0;
}

bool tree_has_manifest(struct tree *tree, const char *id)
{
	_cleanup_free_ char *path = text_format("%s/manifest", id);
	struct stat st;

	return fstatat(tree->layers, path, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode);
}

/* ---- leases */

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
			return fail_to_make(err, parent, "target directory", link->target_dir);
	}
	r = make_link_at(tree, link, parent < 0 ? work : parent);
	if (r == -EEXIST)
		return fail(err, r, "TARGET_CONFLICT", "target directory '%s' is there twice",
			link->target_dir);
	return r ? fail_to_make(err, r, "target directory", link->target_dir) : 0;
}

static int fill_lease(const struct lease *lease, struct error *err)
{
	_cleanup_close_ int work = -1;
	size_t i;
	int r;

	if (mkdirat(lease->tree->leases, lease->work, 0700))
		return fail_to_make(err, -errno, "lease", lease->id);
	work = openat(
		lease->tree->leases, lease->work, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (work < 0)
		return fail_to_make(err, -errno, "lease", lease->id);
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
		return fail_to_make(err, -errno, "lease", id);
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

int tree_remove_empty_lease(struct tree *tree, const char *id)
{
	if (unlinkat(tree->leases, id, AT_REMOVEDIR) == 0 || errno == ENOENT)
		return 0;
	return errno == EEXIST ? -ENOTEMPTY : -errno;
}

/* ---- lists */

void tree_names_deinit(struct tree_names *names)
{
	size_t i;

	for (i = 0; i < names->count; i++)
		free(names->names[i]);
	free(names->names);
	free(names->uids);
	free(names->gids);
	*names = (struct tree_names){ 0 };
}

static void *grow(void *array, size_t count, size_t size)
{
	array = reallocarray(array, count, size);
	if (!array)
		abort();
	return array;
}

static void add_name(struct tree_names *names, const char *name, const struct stat *st)
{
	size_t n = names->count + 1;

	names->names = grow(names->names, n, sizeof(*names->names));
	names->uids = grow(names->uids, n, sizeof(*names->uids));
	names->gids = grow(names->gids, n, sizeof(*names->gids));
	names->names[n - 1] = text_copy(name);
	names->uids[n - 1] = st->st_uid;
	names->gids[n - 1] = st->st_gid;
	names->count = n;
}

static void close_directory(DIR **directory)
{
	if (*directory)
		closedir(*directory);
}

static int read_names(int fd, struct tree_names *ret)
{
	_cleanup_(tree_names_deinit) struct tree_names names = { 0 };
	_cleanup_close_ int copy = fs_open_directory(fd, ".");
	_cleanup_(close_directory) DIR *directory = NULL;
	struct dirent *entry;
	struct stat st;

	if (copy < 0)
		return copy;
	directory = fdopendir(copy);
	if (!directory)
		return -errno;
	steal_fd(&copy);
	while (errno = 0, (entry = readdir(directory))) {
		if (text_equal(entry->d_name, ".") || text_equal(entry->d_name, ".."))
			continue;
		if (fstatat(fd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0)
			add_name(&names, entry->d_name, &st);
		else if (errno != ENOENT)
			return -errno;
	}
	if (errno)
		return -errno;
	*ret = STEAL(names);
	return 0;
}

static int list(const struct tree *tree, int fd, const char *part, struct tree_names *ret,
	struct error *err)
{
	int r = read_names(fd, ret);

	if (r)
		return fail_errno(
			err, r, "INTERNAL_ERROR", "cannot list '%s/%s'", tree->path, part);
	return 0;
}

int tree_list_layers(struct tree *tree, struct tree_names *ret, struct error *err)
{
	return list(tree, tree->layers, "layers", ret, err);
}

int tree_list_leases(struct tree *tree, struct tree_names *ret, struct error *err)
{
	return list(tree, tree->leases, "leases", ret, err);
}

int tree_free_bytes(struct tree *tree, uint64_t *ret, struct error *err)
{
	struct statvfs st;

	if (fstatvfs(tree->state, &st))
		return fail_errno(err, -errno, "INTERNAL_ERROR",
			"cannot ask how much of '%s' is free", tree->path);
	*ret = (uint64_t)st.f_bavail * st.f_frsize;
	return 0;
}
