/*
 * A layer of requirements is made as others are (layers-make.c), but in a slot, which it
 * has to wait for first:
 *
 *	wait for a slot -> row, directory, log -> job Install -> slot given back -> as others
 *	                                              |
 *	                                              | its worker was killed, or died
 *	                                              v
 *	                        the slot's user is ended, wholly -> what failed is cleaned up
 *
 * so that nobody is at work any more in a directory that is being removed.
 *
 * Files are shared with layers of the same owner only: there it makes no difference who may
 * read them. These layers are not kept from being collected meanwhile; what is gone by then
 * is not shared.
 */
#include <errno.h>
#include <stdio.h>
#include <unistd.h>
#include "base/clock.h"
#include "daemon/core/uploaded.h"
#include "daemon/core/layers-internal.h"

/* ---- the end */

static void close_fds(struct making_install *install)
{
	cleanup_close(&install->log_fd);
	cleanup_close(&install->interpreter_layer_fd);
	install->log_fd = install->interpreter_layer_fd = -1;
	while (install->sibling_count)
		cleanup_close(&install->siblings[--install->sibling_count]);
}

void making_install_free(struct making_install *install)
{
	if (!install)
		return;
	close_fds(install);
	db_install_deinit(&install->result);
	uploaded_unref(install->uploaded);
	free(install->packages);
	free(install->python);
	free(install->home);
	free(install->version);
	free(install->interpreter_layer);
	free(install->log_path);
	free(install);
}

int making_install_publish(struct making *making, struct error *err)
{
	making->install->result.resolved_at = clock_unix_ms();
	return db_put_install(
		making->layers->core->db, making->layer.id, &making->install->result, err);
}

static void on_cleaned(struct slots_waiter *waiter)
{
	making_end(container_of(waiter, struct making_install, slot)->making, NULL);
}

static void keep_result(struct making_install *install, const struct job_result *result)
{
	db_install_deinit(&install->result);
	install->result = (struct db_install){
		.site = text_copy(result->site),
		.scripts = text_copy(result->scripts),
		.resolved = text_copy(result->resolved),
	};
}

static void on_done(
	struct job *job, int r, const struct job_result *result, const struct error *err)
{
	struct making *making = container_of(job, struct making, job);
	struct making_install *install = making->install;

	close_fds(install);
	cleanup_close(&making->directory_fd);
	making->directory_fd = -1;
	if (r)
		making->err = *err;
	/* One that tells how it went has ended all that it had started. */
	if (r == -ECANCELED || text_equal(making->err.reason, "WORKER_DIED")) {
		slots_give_back_dirty(&install->slot);
		return;
	}
	slots_give_back(&install->slot);
	if (r == 0)
		keep_result(install, result);
	making_end(making, result);
}

/* ---- the beginning */

/* "3.11.2" has its packages in a "…python3.11/…". Without siblings it goes as well. */
static void open_siblings(struct making *making)
{
	struct making_install *install = making->install;
	const char *minor = strchr(install->version, '.');
	size_t n = minor ? (size_t)(minor - install->version) + 1 + strcspn(minor + 1, ".") : 0;
	_cleanup_free_ char *site = text_format("python%.*s/", (int)n, install->version);
	struct core *core = making->layers->core;
	struct db_ids ids = { 0 };
	size_t i;

	if (db_list_siblings(core->db, making->layer.owner, site, JOB_MAX_SIBLINGS, &ids, NULL))
		return;
	for (i = 0; i < ids.count; i++)
		if (tree_open_layer_tree(core->tree, ids.rows[i],
			    &install->siblings[install->sibling_count], NULL) == 0)
			install->sibling_count++;
	free(ids.rows);
}

static int open_all(struct making *making, struct error *err)
{
	struct making_install *install = making->install;
	struct tree *tree = making->layers->core->tree;
	int r;

	free(install->log_path);
	install->log_path = NULL;
	r = tree_make_log(tree, making->layer.id, &making->identity, &install->log_fd,
		&install->log_path, err);
	if (r == 0 && install->interpreter_layer)
		r = tree_open_layer(
			tree, install->interpreter_layer, &install->interpreter_layer_fd, err);
	if (r == 0)
		open_siblings(making);
	return r > 0 ? fail(err, -EEXIST, "INTERNAL_ERROR", "there is a log of layer '%s' already",
			       making->layer.id)
		     : r;
}

/* What was uploaded is told by the name that it had. */
static struct job_requirements source_of(const struct making *making)
{
	const struct job_uploads *uploads = uploaded_get_files(making->install->uploaded);

	return (struct job_requirements){
		.path = uploads ? uploads->files[0].name : making->path,
		.packages = making->install->packages,
		.threads = making->layers->core->config.threads,
		.uploads = uploads,
	};
}

int making_install_fill_job(struct making *making, struct error *err)
{
	struct core *core = making->layers->core;
	const struct core_install *config = &core->config.install;
	struct making_install *install = making->install;
	int r;

	r = open_all(making, err);
	if (r)
		return r;
	if (hex_parse(making->layer.digest, making->expected, SHA256_SIZE))
		abort();
	making->job = (struct job){
		.kind = JOB_INSTALL,
		.peer = &making->identity,
		.install = {
			.source = source_of(making),
			.expected_sha256 = making->expected,
			.uv = install->use_uv ? config->uv : NULL,
			.python = install->python,
			.home = install->home,
			.index_url = config->index_url,
			.extra_index_urls = config->extra_index_urls,
			.compile = making->compile != JOB_COMPILE_NEVER,
			.access_all = core->config.share_all,
			.access_uid = making->identity.uid,
			.slot = slot_user(install->slot.slot),
			.limits = &core->config.limits,
			.threads = core->config.threads,
			.seconds = config->seconds,
			.directory_fd = making->directory_fd,
			.log_fd = install->log_fd,
			.sibling_count = install->sibling_count,
			.interpreter_layer_fd = install->interpreter_layer_fd,
			.directory = making->directory,
			.header = making->header,
			.log_path = install->log_path,
		},
		.progress = making_on_progress,
		.done = on_done,
	};
	memcpy(making->job.install.siblings, install->siblings, sizeof(install->siblings));
	making->job.install.installers = slots_uids(
		making->layers->slots, &making->job.install.installer_count);
	return 0;
}

static void on_got(struct slots_waiter *waiter)
{
	struct making_install *install = container_of(waiter, struct making_install, slot);
	struct making *making = install->making;

	install->is_waiting = false;
	if (making_try_start(making, &making->err) == 0)
		return;
	close_fds(install);
	slots_give_back(waiter);
	making_fail_to_start(making);
}

void making_install_start(struct making *making)
{
	struct making_install *install = making->install;

	if (slots_check(making->layers->slots, &making->err)) {
		making_fail_to_start(making);
		return;
	}
	install->is_waiting = true;
	slots_wait(making->layers->slots, &install->slot);
}

void making_install_stop(struct making *making)
{
	struct making_install *install = making->install;

	if (!install->is_waiting) {
		pool_cancel(making->layers->core->pool, &making->job);
		return;
	}
	install->is_waiting = false;
	slots_leave(&install->slot);
	fail(&making->err, -ECANCELED, "CANCELLED", "the work was stopped");
	making_fail_to_start(making);
}

struct making_install *making_install_new(
	struct making *making, const struct layers_install *install)
{
	struct making_install *ret = new0(struct making_install);

	*ret = (struct making_install){
		.making = making,
		.packages = text_copy(install->packages),
		.uploaded = uploaded_ref(install->uploaded),
		.python = text_copy(install->python),
		.home = text_copy(install->home),
		.version = text_copy(install->version),
		.interpreter_layer = text_copy(install->interpreter_layer),
		.use_uv = install->use_uv,
		.slot = { .got = on_got, .cleaned = on_cleaned },
		.log_fd = -1,
		.interpreter_layer_fd = -1,
	};
	return ret;
}
