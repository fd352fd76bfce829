/*
 *	file without a name -> whole, named -> row          an upload, a copy
 *	row deleted -> renamed -> removed by the janitor    a collection
 *
 * so that wherever a crash comes between, there is a file without a row, which goes at the
 * next start, and never a row without its file. (Only after a loss of power there may be:
 * a row that is not durable goes then, and one whose file has not its size always.)
 */
#include "daemon/core/artifacts.h"

#include <errno.h>
#include <stdio.h>
#include "base/clock.h"
#include "base/log.h"
#include "daemon/core/artifacts-internal.h"

void artifact_format_name(const char *digest, uid_t uid, char ret[ARTIFACT_NAME_SIZE])
{
	snprintf(ret, ARTIFACT_NAME_SIZE, "%s-%u", digest, (unsigned)uid);
}

int artifact_fail_missing(struct error *err, const char *digest)
{
	return fail(err, -ENOENT, "ARTIFACT_NOT_FOUND",
		"you have not uploaded an artifact with the SHA-256 %s, or it was collected",
		digest);
}

int artifacts_use(struct artifacts *artifacts, uid_t uid, const char *digest,
	struct db_artifact *ret, struct error *err)
{
	int r = db_find_artifact(artifacts->core->db, digest, uid, ret, err);

	if (r == DB_E_NOT_FOUND)
		return ARTIFACTS_E_NOT_FOUND;
	/* That it is kept a little less long is no reason to fail. */
	if (r == 0)
		db_use_artifact(artifacts->core->db, digest, uid, clock_unix_ms(), NULL);
	return r;
}

/* The file of a row that is gone, or that never came. */
static void remove_file(struct artifacts *artifacts, const char *name)
{
	char gone[ARTIFACT_GONE_SIZE];

	if (tree_condemn_artifact(artifacts->core->tree, name, gone) == 0)
		janitor_remove_artifact(artifacts->janitor, gone);
}

static int name_file(struct artifacts *artifacts, const char *name, int fd, struct error *err)
{
	int r = tree_name_artifact(artifacts->core->tree, fd, name, err);

	if (r != TREE_E_EXISTS)
		return r;
	/* It has no row: what could not be renamed when that was deleted. */
	remove_file(artifacts, name);
	r = tree_name_artifact(artifacts->core->tree, fd, name, err);
	return r == TREE_E_EXISTS
		? fail(err, -EEXIST, "INTERNAL_ERROR", "cannot replace artifact '%s'", name)
		: r;
}

int artifacts_add(struct artifacts *artifacts, uid_t uid, const char *digest, uint64_t bytes,
	int fd, struct error *err)
{
	struct db_artifact row = { .uid = uid, .bytes = bytes, .created = clock_unix_ms() }, known;
	char name[ARTIFACT_NAME_SIZE];
	int r;

	snprintf(row.digest, sizeof(row.digest), "%s", digest);
	artifact_format_name(digest, uid, name);
	r = artifacts_use(artifacts, uid, digest, &known, err);
	if (r != ARTIFACTS_E_NOT_FOUND)
		return r;
	r = name_file(artifacts, name, fd, err);
	if (r)
		return r;
	r = fold(db_add_artifact(artifacts->core->db, &row, err));
	if (r) {
		remove_file(artifacts, name);
		return r;
	}
	log_info("artifact-added", "sha256=%s uid=%d bytes=%llu", digest, (int)uid,
		(unsigned long long)bytes);
	/* What makes room for it must not begin with it. */
	pins_add(&artifacts->pins, name);
	if (artifacts->added)
		artifacts->added(artifacts->added_data);
	pins_remove(&artifacts->pins, name);
	return 0;
}

void artifacts_on_added(struct artifacts *artifacts, void (*added)(void *data), void *data)
{
	artifacts->added = added;
	artifacts->added_data = data;
}

int artifacts_open(struct artifacts *artifacts, const struct db_artifact *artifact, int *ret_fd,
	struct fs_identity *ret, struct error *err)
{
	char name[ARTIFACT_NAME_SIZE];

	artifact_format_name(artifact->digest, artifact->uid, name);
	return tree_open_artifact(artifacts->core->tree, name, ret_fd, ret, err);
}

int artifacts_condemn(
	struct artifacts *artifacts, const struct db_artifact *artifact, struct error *err)
{
	struct core *core = artifacts->core;
	char name[ARTIFACT_NAME_SIZE];
	int r;

	/* On a full disk even the row cannot be deleted: see layers_condemn(). */
	r = db_delete_artifact(core->db, artifact->digest, artifact->uid, err);
	if (r == -ENOSPC && tree_spend_reserve(core->tree))
		r = db_delete_artifact(core->db, artifact->digest, artifact->uid, err);
	if (r < 0)
		return r;
	artifact_format_name(artifact->digest, artifact->uid, name);
	remove_file(artifacts, name);
	return 0;
}

struct pins *artifacts_pins(struct artifacts *artifacts)
{
	return &artifacts->pins;
}

/* ---- the start */

static int check_rows(struct artifacts *artifacts, bool is_new_boot, struct error *err)
{
	struct core *core = artifacts->core;
	struct db_artifacts rows = { 0 };
	char name[ARTIFACT_NAME_SIZE];
	size_t i;
	int r;

	r = db_list_artifacts(core->db, "", SIZE_MAX, -1, &rows, err);
	for (i = 0; i < rows.count && r == 0; i++) {
		const struct db_artifact *row = &rows.rows[i];

		artifact_format_name(row->digest, row->uid, name);
		if ((is_new_boot && !row->durable) ||
			!tree_has_artifact(core->tree, name, row->bytes)) {
			log_info("artifact-recovered", "sha256=%s uid=%u durable=%d", row->digest,
				(unsigned)row->uid, (int)row->durable);
			r = artifacts_condemn(artifacts, row, err);
		}
	}
	free(rows.rows);
	return r;
}

/* The row that a file's name tells of. */
static int find_row(struct artifacts *artifacts, const char *name, struct error *err)
{
	char digest[SHA256_HEX_SIZE];
	char whole[ARTIFACT_NAME_SIZE];
	struct db_artifact row;
	uint64_t uid;

	if (strlen(name) < SHA256_HEX_SIZE || name[SHA256_HEX_SIZE - 1] != '-' ||
		parse_u64(name + SHA256_HEX_SIZE, &uid) || uid > UINT32_MAX)
		return DB_E_NOT_FOUND;
	memcpy(digest, name, SHA256_HEX_SIZE - 1);
	digest[SHA256_HEX_SIZE - 1] = 0;
	artifact_format_name(digest, (uid_t)uid, whole);
	if (!text_equal(name, whole))
		return DB_E_NOT_FOUND;
	return db_find_artifact(artifacts->core->db, digest, (uint32_t)uid, &row, err);
}

int artifacts_recover(struct artifacts *artifacts, bool is_new_boot, struct error *err)
{
	struct tree_names names = { 0 };
	size_t i;
	int r;

	r = check_rows(artifacts, is_new_boot, err);
	if (r == 0)
		r = tree_list_artifacts(artifacts->core->tree, &names, err);
	for (i = 0; i < names.count && r == 0; i++) {
		r = find_row(artifacts, names.names[i], err);
		if (r == DB_E_NOT_FOUND) {
			log_info("artifact-without-row", "name='%s'", LOG_TEXT(names.names[i]));
			remove_file(artifacts, names.names[i]);
			r = 0;
		}
	}
	tree_names_deinit(&names);
	return r;
}

/* ---- life */

struct artifacts *artifacts_new(struct core *core, struct janitor *janitor)
{
	struct artifacts *artifacts = new0(struct artifacts);

	artifacts->core = core;
	artifacts->janitor = janitor;
	flights_init(&artifacts->keepings, core);
	return artifacts;
}

struct artifacts *artifacts_free(struct artifacts *artifacts)
{
	if (!artifacts)
		return NULL;
	flights_deinit(&artifacts->keepings);
	pins_deinit(&artifacts->pins);
	free(artifacts);
	return NULL;
}
