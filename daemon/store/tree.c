/*
 * The state directory belongs to this process's user, and nobody else may write
 * in it, so what is found in it needs no second look: names cannot be swapped
 * under our eyes. The one exception is what is inside a lease's directory, which
 * belongs to the lease's owner (tree-lease.c).
 */
#include "daemon/store/tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#include "base/fs.h"
#include "daemon/store/probe.h"
#include "daemon/store/tree-internal.h"

/* Everyone may pass, nobody may list: who knows an id got it from us. */
#define PASS_MODE 0711

/* The index writes a few pages for each layer that it condemns. */
#define RESERVE_BYTES (4 << 20)

#define LOCK_PATIENCE_MS 2000
#define LOCK_PAUSE_MS 10

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

/* A worker that is just being started has all that the daemon has, until it becomes
 * another program: also when that daemon was killed meanwhile. */
static int wait_for_lock(int fd)
{
	const struct timespec pause = { .tv_nsec = LOCK_PAUSE_MS * 1000000 };
	int tries = LOCK_PATIENCE_MS / LOCK_PAUSE_MS;

	while (flock(fd, LOCK_EX | LOCK_NB)) {
		if (errno != EWOULDBLOCK || tries-- == 0)
			return -errno;
		nanosleep(&pause, NULL);
	}
	return 0;
}

static int take_lock(struct tree *tree, struct error *err)
{
	char text[16];
	int length, r;

	tree->lock = openat(tree->state, "lock", O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (tree->lock < 0)
		return fail_errno(
			err, -errno, "INTERNAL_ERROR", "cannot open '%s/lock'", tree->path);
	r = wait_for_lock(tree->lock);
	if (r == -EWOULDBLOCK)
		return fail_locked(tree, err);
	if (r)
		return fail_errno(err, r, "INTERNAL_ERROR", "cannot lock '%s/lock'", tree->path);
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

void tree_keep_reserve(struct tree *tree)
{
	_cleanup_close_ int fd = -1;

	if (tree->has_reserve)
		return;
	fd = openat(tree->state, "reserve", O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	/* Half of it is better than nothing, and none is no reason not to go on. */
	tree->has_reserve = fd >= 0 && fallocate(fd, 0, 0, RESERVE_BYTES) == 0;
}

bool tree_spend_reserve(struct tree *tree)
{
	struct stat st;

	tree->has_reserve = false;
	return fstatat(tree->state, "reserve", &st, AT_SYMLINK_NOFOLLOW) == 0 && st.st_blocks > 0 &&
		unlinkat(tree->state, "reserve", 0) == 0;
}

int tree_open(const char *path, struct tree **ret, struct error *err)
{
	_cleanup_(tree_closep) struct tree *tree = new0(struct tree);
	int r;

	tree->state = tree->lock = tree->layers = tree->leases = -1;
	tree->logs = tree->artifacts = -1;
	r = open_state_directory(tree, path, err);
	if (r == 0)
		r = take_lock(tree, err);
	if (r == 0)
		r = probe_file_system(tree->state, tree->path, err);
	if (r == 0)
		r = open_part(tree, "layers", &tree->layers, err);
	if (r == 0)
		r = open_part(tree, "leases", &tree->leases, err);
	if (r == 0)
		r = open_part(tree, "logs", &tree->logs, err);
	if (r == 0)
		r = open_part(tree, "artifacts", &tree->artifacts, err);
	if (r)
		return r;
	tree_keep_reserve(tree);
	*ret = STEAL(tree);
	return 0;
}

struct tree *tree_close(struct tree *tree)
{
	if (!tree)
		return NULL;
	cleanup_close(&tree->artifacts);
	cleanup_close(&tree->logs);
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

int tree_fail_to_make(struct error *err, int r, const char *what, const char *id)
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
		return tree_fail_to_make(err, -errno, "layer", id);
	}
	fd = fs_open_directory(tree->layers, id);
	if (fd < 0) {
		unlinkat(tree->layers, id, AT_REMOVEDIR);
		return tree_fail_to_make(err, fd, "layer", id);
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

int tree_open_layer(struct tree *tree, const char *id, int *ret_fd, struct error *err)
{
	int fd = fs_open_directory(tree->layers, id);

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

int tree_list_artifacts(struct tree *tree, struct tree_names *ret, struct error *err)
{
	return list(tree, tree->artifacts, "artifacts", ret, err);
}

int tree_free_bytes(struct tree *tree, uint64_t *ret, struct error *err)
{
	int r = fs_get_room(tree->state, ret);

	if (r)
		return fail_errno(err, r, "INTERNAL_ERROR", "cannot ask how much of '%s' is free",
			tree->path);
	return 0;
}
