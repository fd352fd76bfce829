/*
 *	sources, as the peer -> tmp/source, a copy
 *	                          |
 *	installer, as the slot's user, writing into tree/ and tmp/ only, until it ends
 *	                          |  failed for a passing reason: all of it again, from nothing
 *	bytecode, by the environment's own interpreter, as that user
 *	                          |
 *	everything of that user is dead -> tmp/ goes -> tree/ becomes ours
 *	                          |
 *	files that other layers have, too, become theirs (share.c) -> manifest
 *
 * The layer is made at its final path: console scripts and metadata hold it.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/fs.h"
#include "base/utf8.h"
#include "daemon/worker/adopt.h"
#include "daemon/worker/confine.h"
#include "daemon/worker/install-internal.h"
#include "daemon/worker/layer.h"
#include "daemon/worker/manifest.h"
#include "daemon/worker/remove.h"
#include "daemon/worker/requirements.h"
#include "daemon/worker/share.h"

#define MAX_LOG (UINT64_C(4) << 20)
#define MAX_TEXT 65536

static void work_deinit(struct install_work *work)
{
	install_output_deinit(&work->output);
	cleanup_close(&work->tree_fd);
	free(work->tree);
	free(work->scratch);
	free(work->source);
}

void install_deinit(struct install *install)
{
	free(install->site);
	free(install->scripts);
	free(install->resolved);
	install->site = install->scripts = install->resolved = NULL;
}

/* ---- directories */

static int fail_make(const struct install_work *work, const char *name, struct error *err)
{
	return fail_errno(err, -errno, errno == ENOSPC ? "NO_SPACE" : "INTERNAL_ERROR",
		"cannot make '%s/%s'", work->install->directory, name);
}

/* A directory that the installer may write in. */
static int make_for_slot(
	const struct install_work *work, const char *name, int *ret, struct error *err)
{
	const struct identity *slot = work->install->slot;

	if (mkdirat(work->install->directory_fd, name, 0700))
		return fail_make(work, name, err);
	*ret = fs_open_directory(work->install->directory_fd, name);
	if (*ret < 0 || (slot && fchown(*ret, slot->uid, slot->gid)))
		return fail_make(work, name, err);
	return 0;
}

static int remove_one(const struct install_work *work, const char *name, struct error *err)
{
	char *names[] = { (char *)name };
	struct remove_job job = {
		.parent_fd = work->install->directory_fd,
		.names = names,
		.name_count = 1,
		.owner = work->install->slot,
		.threads = work->install->threads,
	};
	int r = 0;

	remove_run(&job);
	if (job.failure_count)
		r = fail(err, -EIO, "INTERNAL_ERROR", "%s", job.failures[0]);
	remove_deinit(&job);
	return r;
}

/* The copy is in source/, which the slot's user may read; tree/ and tmp/ are his. */
static int make_directories(struct install_work *work, struct error *err)
{
	_cleanup_close_ int scratch_fd = -1;
	int r;

	if (fchmod(work->install->directory_fd, 0711))
		return fail_make(work, ".", err);
	r = make_for_slot(work, "tmp", &scratch_fd, err);
	return r ? r : make_for_slot(work, "tree", &work->tree_fd, err);
}

int install_start_again(struct install_work *work, struct error *err)
{
	int r;

	cleanup_close(&work->tree_fd);
	work->tree_fd = -1;
	r = remove_one(work, "tree", err);
	if (r == 0)
		r = remove_one(work, "tmp", err);
	if (r == 0)
		r = make_directories(work, err);
	install_output_forget(&work->output);
	return r;
}

/* ---- sources */

/* Takes @fd: a directory of ours, of which nobody knows yet. What is in it first, for we
 * cannot look into what is not ours. */
static int give(int fd, const struct identity *slot)
{
	DIR *directory = fdopendir(fd);
	struct dirent *entry;
	int r = 0, below;

	if (!directory) {
		close(fd);
		return -errno;
	}
	while (r == 0 && (entry = readdir(directory))) {
		if (text_equal(entry->d_name, ".") || text_equal(entry->d_name, ".."))
			continue;
		below = fs_open_directory(dirfd(directory), entry->d_name);
		if (below >= 0)
			r = give(below, slot);
		else if (fchownat(dirfd(directory), entry->d_name, slot->uid, slot->gid,
				 AT_SYMLINK_NOFOLLOW))
			r = -errno;
	}
	if (r == 0 && fchown(dirfd(directory), slot->uid, slot->gid))
		r = -errno;
	closedir(directory);
	return r;
}

static int give_to_slot(const struct install *install, int *fd, struct error *err)
{
	int r = install->slot ? give(steal_fd(fd), install->slot) : 0;

	return r ? fail_errno(err, r, "INTERNAL_ERROR", "cannot give '%s/source' to uid %d",
			   install->directory, (int)install->slot->uid)
		 : 0;
}

static int copy_sources(struct install_work *work, struct error *err)
{
	struct install *install = work->install;
	_cleanup_close_ int fd = -1;
	struct requirements requirements = {
		.path = install->path,
		.packages = install->packages,
		.peer = install->peer,
		.uploads = install->uploads,
		.offline = install->installer.is_offline,
		.threads = install->threads,
		.reserve_bytes = install->limits.reserve_bytes,
	};
	int r;

	if (mkdirat(install->directory_fd, "source", 0700))
		return fail_make(work, "source", err);
	fd = fs_open_directory(install->directory_fd, "source");
	if (fd < 0)
		return fail_make(work, "source", err);
	requirements.output_fd = fd;
	r = requirements_read(&requirements, install->report, err);
	if (r == 0 && memcmp(requirements.digest, install->expected_sha256, SHA256_SIZE) != 0)
		r = fail(err, -ESTALE, "SOURCE_CHANGED",
			"'%s', or what belongs to it, changed while it was being read",
			install->path);
	requirements_deinit(&requirements);
	return r ? r : give_to_slot(install, &fd, err);
}

/* ---- what came of it */

static bool has_line(const struct buffer *lines, const char *line, size_t size, char end)
{
	const char *at = (const char *)lines->data, *stop = at + lines->size;

	for (; at < stop; at = (const char *)memchr(at, end, (size_t)(stop - at)) + 1)
		if ((size_t)(stop - at) > size && memcmp(at, line, size) == 0 && at[size] == end)
			return true;
	return false;
}

/* "lib/python3.11/site-packages/requests-2.32.0.dist-info" */
static void add_package(struct buffer *site, struct buffer *resolved, const char *name)
{
	const char *leaf = strrchr(name, '/'), *version;
	size_t parent = leaf ? (size_t)(leaf - name) : 0, n;

	leaf = leaf ? leaf + 1 : name;
	n = strlen(leaf) - strlen(".dist-info");
	version = memrchr(leaf, '-', n);
	if (!version || resolved->size + n > MAX_TEXT || strchr(name, ':'))
		return;
	if (!has_line(site, name, parent, ':')) {
		buffer_append(site, name, parent);
		buffer_append_text(site, ":");
	}
	buffer_format(resolved, "%.*s %.*s\n", (int)(version - leaf), leaf,
		(int)(leaf + n - version - 1), version + 1);
}

static void describe(struct install *install, struct place *place)
{
	static const char *const scripts[] = { "bin", "local/bin" };
	_cleanup_buffer_ struct buffer site = { 0 }, resolved = { 0 };
	size_t i, count = place_sort(place);

	for (i = 0; i < count; i++) {
		struct place_view view = place_get(place, i);

		if (view.type == PLACE_DIRECTORY && text_ends_with(view.name, ".dist-info"))
			add_package(&site, &resolved, view.name);
	}
	if (site.size)
		site.size--;
	install->site = buffer_steal_text(&site);
	install->resolved = buffer_steal_text(&resolved);
	utf8_repair(install->resolved, strlen(install->resolved));
	for (i = 0; i < ARRAY_SIZE(scripts) && !install->scripts; i++)
		if (place_type_of(place, scripts[i]) == PLACE_DIRECTORY)
			install->scripts = text_copy(scripts[i]);
	if (!install->scripts)
		install->scripts = text_copy("");
	install->bytes = place_get_bytes(place);
	install->entries = place_get_entries(place);
}

static int write_manifest(struct install *install, struct place *place, struct error *err)
{
	_cleanup_free_ char *header = text_format("%s\nsite %s\nscripts %s\npackages:\n%s",
		install->header, install->site, install->scripts, install->resolved);

	return manifest_write(install->directory_fd, place, header, err);
}

/* Of the installer's own lock nobody has any use. */
static void drop_lock(const struct install_work *work)
{
	const struct identity *slot = work->install->slot;

	if (slot && identity_assume(slot, NULL))
		return;
	unlinkat(work->tree_fd, ".lock", 0);
	if (slot)
		identity_resume();
}

static void share(struct install_work *work, struct place *place)
{
	struct install *install = work->install;
	struct share share = {
		.directory_fd = install->directory_fd,
		.tree_fd = work->tree_fd,
		.place = place,
		.siblings = install->siblings,
		.sibling_count = install->sibling_count,
		.threads = install->threads,
	};

	share_files(&share);
	install->shared_bytes = share.bytes;
}

static int take_over(struct install_work *work, struct error *err)
{
	struct install *install = work->install;
	_cleanup_(place_freep) struct place *place = NULL;
	struct adopt adopt = { .author = install->slot, .threads = install->threads };
	int r;

	drop_lock(work);
	place = place_new(work->tree_fd, install->path, &install->limits);
	adopt.tree_fd = work->tree_fd;
	adopt.place = place;
	report_phase(install->report, REPORT_FINISH, 0);
	r = adopt_tree(&adopt, err);
	if (r)
		return r;
	share(work, place);
	describe(install, place);
	r = place_finish_directories(place, err);
	return r ? r : write_manifest(install, place, err);
}

/* ---- all of it */

/* The interpreter's layer is its users'; whoever installs with it has to reach it as well. */
static int open_interpreter_layer(const struct install *install, struct error *err)
{
	const struct layer_access access = {
		.directory_fd = install->interpreter_layer_fd,
		.directory = install->installer.python,
		.uid = install->access_uid,
		.others = install->installers,
		.other_count = install->installer_count,
	};

	if (install->interpreter_layer_fd < 0 || install->access_all || !install->slot)
		return 0;
	return layer_set_access(&access, err);
}

static int confine_install(const struct install *install, struct error *err)
{
	const struct confinement confinement = {
		.acts_as = install->slot,
		.gives_away = true,
		.writes_fd = install->directory_fd,
		.link_fds = install->siblings,
		.link_count = install->sibling_count,
	};

	return confine(&confinement, err);
}

static int finish(struct install_work *work, struct error *err)
{
	const struct install *install = work->install;
	const struct layer_access access = {
		.directory_fd = install->directory_fd,
		.directory = install->directory,
		.is_all = install->access_all,
		.uid = install->access_uid,
	};
	int r;

	r = remove_one(work, "source", err);
	if (r == 0)
		r = remove_one(work, "tmp", err);
	if (r == 0)
		r = take_over(work, err);
	return r ? r : layer_set_access(&access, err);
}

static int run_all(struct install_work *work, struct error *err)
{
	struct install *install = work->install;
	int r;

	r = layer_lock(install->directory_fd, install->directory, &install->lock_fd, err);
	if (r == 0)
		r = open_interpreter_layer(install, err);
	if (r == 0)
		r = copy_sources(work, err);
	if (r == 0)
		r = make_directories(work, err);
	if (r == 0)
		r = confine_install(install, err);
	if (r == 0)
		r = install->keep_running(install, err);
	if (r == 0)
		r = install_packages(work, err);
	if (r == 0)
		r = install_compile(work, err);
	return r ? r : finish(work, err);
}

int install_run(struct install *install, struct error *err)
{
	_cleanup_(work_deinit) struct install_work work = {
		.install = install,
		.tree = text_format("%s/tree", install->directory),
		.scratch = text_format("%s/tmp", install->directory),
		.source = text_format("%s/source", install->directory),
		.tree_fd = -1,
	};

	install_output_init(&work.output, install->log_fd, MAX_LOG);
	return run_all(&work, err);
}
