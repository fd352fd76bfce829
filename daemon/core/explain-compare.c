/*
 * The nearest is looked for among those that were used last, and no further than so many
 * components: it is the loop that waits meanwhile.
 */
#include <errno.h>
#include "daemon/core/explain-work.h"
#include "proto/hash.h"

#define MAX_ENVIRONMENTS 256
#define MAX_COMPONENTS 32768

const struct input *explain_work_interpreter_input(const struct explain_work *work)
{
	const struct spec_archive *archive = work->interpreter.archive;

	return archive ? &work->inputs[archive - work->explain->spec->archives] : NULL;
}

static void add_missing(struct explain_work *work, const char *path)
{
	struct explain_result *result = &work->explain->result;

	result->missing[result->missing_count++] = path;
}

/* ---- what it is */

/* Of requirements: what it is for an interpreter that is known, and whether it is there. */
static int find_requirements(struct explain_work *work, struct hash_required *required,
	char hash[SHA256_HEX_SIZE], struct error *err)
{
	const struct core *core = work->explains->core;
	const struct explain *explain = work->explain;
	const struct input *input = explain_work_interpreter_input(work);
	const struct hash_install install = {
		.spec = explain->spec,
		.digest = work->reading.sha256,
		.use_uv = hash_uses_uv(
			core_may_use_uv(core), work->reading.needs_pip, work->interpreter.home),
		.archive_key = input ? input->key : NULL,
		.interpreter = work->interpreter.path,
		.python = &work->interpreter.python,
	};
	char key[SHA256_HEX_SIZE];
	struct db_layer layer;
	int r;

	required->use_uv = install.use_uv;
	required->hash = hash;
	hash_requirements(&install, hash);
	hash_requirements_layer(hash, work->interpreter.path, key);
	r = db_find_layer_by_key(
		core->db, key, core_owner(core, explain->peer->identity.uid), &layer, err);
	if (r == DB_E_NOT_FOUND)
		add_missing(work, explain->spec->requirements.path);
	return r == DB_E_NOT_FOUND ? 0 : r;
}

/* Takes what is in them. */
static void take_components(struct hash_components *from, struct db_components *ret)
{
	size_t i;

	ret->rows = new0_array(struct db_component, from->count);
	ret->count = from->count;
	for (i = 0; i < from->count; i++)
		ret->rows[i] = (struct db_component){
			.kind = text_copy(from->rows[i].kind),
			.name = STEAL(from->rows[i].name),
			.value = STEAL(from->rows[i].value),
		};
	hash_components_deinit(from);
}

static void compute(struct explain_work *work, const struct hash_required *required)
{
	struct explain_result *result = &work->explain->result;
	_cleanup_free_ struct hash_artifact *artifacts = new0_array(
		struct hash_artifact, work->input_count);
	const struct hash_parts parts = {
		.spec = work->explain->spec,
		.artifacts = artifacts,
		.interpreter = work->interpreter.archive ? NULL : work->interpreter.path,
		.python = &work->interpreter.python,
		.required = work->explain->spec->requirements.path ? required : NULL,
		.salt = work->explains->core->salt,
	};
	struct hash_components components;
	size_t i;

	for (i = 0; i < work->input_count; i++)
		artifacts[i] = (struct hash_artifact){
			work->inputs[i].key,
			work->inputs[i].digest,
		};
	hash_environment(&parts, result->hash, &components);
	take_components(&components, &result->components);
	if (parts.required && !required->hash)
		result->hash[0] = 0;
}

static int identify(struct explain_work *work, struct error *err)
{
	const struct spec *spec = work->explain->spec;
	struct explain_result *result = &work->explain->result;
	struct hash_required required = {
		.digest = work->reading.sha256,
		.specifiers = work->reading.specifiers,
	};
	char hash[SHA256_HEX_SIZE];
	size_t i;
	int r = 0;

	result->missing = new0_array(const char *, work->input_count + 1);
	for (i = 0; i < work->input_count; i++)
		if (!work->inputs[i].is_ready)
			add_missing(work, work->inputs[i].path);
	if (spec->requirements.path && work->interpreter.path)
		r = find_requirements(work, &required, hash, err);
	else if (spec->requirements.path)
		add_missing(work, spec->requirements.path);
	if (r)
		return r;
	compute(work, &required);
	result->is_ready = !result->missing_count;
	return 0;
}

/* ---- what is known */

static int look_for_known(struct explain_work *work, struct error *err)
{
	struct explain_result *result = &work->explain->result;
	struct db_environment environment;
	int r;

	if (!*result->hash)
		return 0;
	r = db_find_environment(work->explains->core->db, result->hash,
		work->explain->peer->identity.uid, &environment, err);
	/* Two: of the user, and of all. */
	result->is_known = r == 0 || r == DB_E_EXISTS;
	return r < 0 ? r : 0;
}

struct search {
	struct db *db;
	struct db_components sorted; /* the rows are owned, what is in them is not */
	size_t seen, best;
	const struct db_environment *nearest;
};

static int look_at(
	struct search *search, const struct db_environment *environment, struct error *err)
{
	_cleanup_(db_components_deinit) struct db_components there = { 0 };
	size_t equal;
	int r;

	r = db_list_components(search->db, environment->hash, environment->owner, &there, err);
	if (r)
		return r;
	search->seen += there.count;
	equal = difference_count_equal(&search->sorted, &there);
	if (equal > search->best) {
		search->best = equal;
		search->nearest = environment;
	}
	return 0;
}

static int search_nearest(struct search *search, const struct db_environments *environments,
	const struct db_components *here, struct error *err)
{
	size_t i;
	int r = 0;

	search->sorted.count = here->count;
	search->sorted.rows = new0_array(struct db_component, here->count);
	if (here->count)
		memcpy(search->sorted.rows, here->rows, here->count * sizeof(*here->rows));
	qsort(search->sorted.rows, here->count, sizeof(*here->rows), difference_compare);
	for (i = 0; i < environments->count && search->seen < MAX_COMPONENTS && r == 0; i++)
		r = look_at(search, &environments->rows[i], err);
	free(search->sorted.rows);
	return r;
}

/* Where all components are equal, or those that are known. */
static void tell_the_rest(struct explain_result *result)
{
	if (!*result->hash)
		return;
	if (text_equal(result->hash, result->nearest.hash))
		differences_add(&result->differences, "owner",
			text_format("it is the same environment, but of uid %lld, and between "
				    "users nothing is shared",
				(long long)result->nearest.owner));
	else if (!result->differences.count)
		differences_add(&result->differences, "version",
			text_copy("it was made by another version of pyenvd"));
}

static int compare_with(struct explain_work *work, const struct search *search, struct error *err)
{
	_cleanup_(db_components_deinit) struct db_components there = { 0 };
	struct explain_result *result = &work->explain->result;
	int r;

	if (!search->nearest)
		return 0;
	r = db_list_components(
		search->db, search->nearest->hash, search->nearest->owner, &there, err);
	if (r)
		return r;
	result->has_nearest = true;
	result->nearest = *search->nearest;
	result->nearest_equal = search->best;
	differences_find(&result->components, &there, &result->differences);
	tell_the_rest(result);
	return 0;
}

int explain_work_compare(struct explain_work *work, struct error *err)
{
	const struct explain *explain = work->explain;
	struct search search = { .db = work->explains->core->db };
	struct db_environments environments = { 0 };
	int64_t view = explain->peer->is_admin ? -1 : (int64_t)explain->peer->identity.uid;
	int r;

	r = identify(work, err);
	if (r == 0)
		r = look_for_known(work, err);
	if (r || explain->result.is_known)
		return r;
	r = db_list_latest_environments(search.db, MAX_ENVIRONMENTS, view, &environments, err);
	if (r == 0)
		r = search_nearest(&search, &environments, &explain->result.components, err);
	if (r == 0)
		r = compare_with(work, &search, err);
	free(environments.rows);
	return r;
}
