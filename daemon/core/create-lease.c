/*
 * What a create gives: the lease, new or known from an earlier try, and the answer.
 */
#include <errno.h>
#include <stdio.h>
#include "daemon/core/create-work.h"

const char *create_work_layer_id(const struct create_work *work, size_t i)
{
	return work->inputs[i].layer.id;
}

static void compute_hash(struct create_work *work)
{
	const struct create_install *install = &work->install;
	struct hash_artifact *artifacts = new0_array(struct hash_artifact, work->input_count);
	const struct hash_required required = {
		.hash = install->hash,
		.digest = install->reading.sha256,
		.specifiers = install->reading.specifiers,
		.use_uv = install->use_uv,
	};
	const struct hash_parts parts = {
		.spec = work->create->spec,
		.artifacts = artifacts,
		.interpreter = work->interpreter.archive ? NULL : work->interpreter.path,
		.python = &work->interpreter.python,
		.required = work->create->spec->requirements.path ? &required : NULL,
		.salt = work->creates->core->salt,
	};
	size_t i;

	for (i = 0; i < work->input_count; i++)
		artifacts[i] = (struct hash_artifact){
			work->inputs[i].layer.key,
			work->inputs[i].layer.digest,
		};
	hash_environment(&parts, work->create->result.hash, &work->components);
	free(artifacts);
	/* What the lease was made with may mean something else by now. */
	if (work->known)
		memcpy(work->create->result.hash, work->known->hash,
			sizeof(work->create->result.hash));
}

static void fill_layer(const struct create_work *work, const struct db_layer *row,
	const char *source, enum input_origin origin)
{
	struct create_result *result = &work->create->result;
	struct create_layer *layer = &result->layers[result->layer_count++];
	_cleanup_free_ char *path = tree_layer_path(work->creates->core->tree, row->id);

	snprintf(layer->id, sizeof(layer->id), "%s", row->id);
	layer->source = source;
	layer->origin = origin;
	layer->directory = text_format("%s/tree", path);
	layer->bytes = row->bytes;
}

void create_work_fill_layers(struct create_work *work)
{
	struct create_result *result = &work->create->result;
	size_t i;

	result->layers = new0_array(struct create_layer, work->input_count + 1);
	result->hit = !work->interpreter.has_waited && !work->install.has_waited;
	for (i = 0; i < work->input_count; i++) {
		const struct input *input = &work->inputs[i];

		fill_layer(work, &input->layer, input->path, input->origin);
		result->hit &= !input->has_waited;
	}
	if (work->install.is_ready)
		fill_layer(work, &work->install.layer, work->create->spec->requirements.path,
			work->install.origin);
	compute_hash(work);
}

/* "a:b" beneath "/layer/tree". */
static char *place_all(const char *directory, const char *relative)
{
	struct buffer ret = { 0 };
	size_t n;

	for (; *relative; relative += n + (relative[n] == ':')) {
		n = strcspn(relative, ":");
		buffer_format(&ret, "%s%s/%.*s", ret.size ? ":" : "", directory, (int)n, relative);
	}
	return buffer_steal_text(&ret);
}

static char *file_entry(const struct create_work *work, size_t i)
{
	const struct input *input = &work->inputs[work->create->spec->archive_count + i];
	const char *directory = work->create->result.layers[input - work->inputs].directory;
	bool is_itself = input->is_directory || spec_file_use(input->name) == SPEC_FILE_ITSELF;

	return is_itself ? text_format("%s/%s", directory, input->name) : text_copy(directory);
}

static void fill_variables(struct create_work *work)
{
	struct create_result *result = &work->create->result;
	const struct spec *spec = work->create->spec;
	char **entries = new0_array(char *, spec->file_count);
	struct variables_places places = {
		.base_directory = result->base_directory,
		.working_directory = result->working_directory,
		.interpreter = work->interpreter.path,
		.home = work->interpreter.home,
		.interpreter_is_in_layer = work->interpreter.archive != NULL,
		.file_entries = (const char *const *)entries,
	};
	_cleanup_free_ char *site = NULL, *scripts = NULL;
	size_t i;

	if (work->install.is_ready) {
		places.requirements = result->layers[work->input_count].directory;
		site = place_all(places.requirements, work->install.result.site);
		scripts = place_all(places.requirements, work->install.result.scripts);
		places.site = site;
		places.scripts = scripts;
	}
	for (i = 0; i < spec->file_count; i++)
		entries[i] = file_entry(work, i);
	variables_compute(spec, &places, &result->variables);
	for (i = 0; i < spec->file_count; i++)
		free(entries[i]);
	free(entries);
}

void create_work_fill_lease(struct create_work *work)
{
	struct create_result *result = &work->create->result;

	snprintf(result->lease_id, sizeof(result->lease_id), "%s", lease_id(work->lease));
	result->base_directory = tree_lease_path(work->creates->core->tree, result->lease_id);
	result->working_directory = text_format("%s/work", result->base_directory);
	result->interpreter = text_copy(work->interpreter.path ? work->interpreter.path : "");
	result->expires = lease_expires(work->lease);
	fill_variables(work);
}

/* Named for what becomes of them: each name is there once, as targets are, and positions. */
static void fill_artifacts(struct create_work *work)
{
	const struct spec *spec = work->create->spec;
	size_t i;

	work->artifacts.rows = new0_array(
		struct db_lease_artifact, work->input_count + create_keep_count(work));
	for (i = 0; i < work->input_count && work->inputs[i].keep; i++) {
		struct db_lease_artifact *artifact = &work->artifacts.rows[work->artifacts.count++];
		size_t file = i - spec->archive_count;

		artifact->name = i < spec->archive_count
			? text_format("python_archives/%s", spec->archives[i].target)
			: text_format("python_files/%zu/%s", file, spec->files[file].name);
		memcpy(artifact->digest, work->inputs[i].layer.digest, sizeof(artifact->digest));
	}
	create_keep_add_artifacts(work, &work->artifacts);
}

static void fill_grant(struct create_work *work)
{
	struct core *core = work->creates->core;
	struct lease_grant *grant = &work->grant;
	size_t i;

	work->rows = new0_array(struct db_component, work->components.count);
	grant->layer_count = work->create->result.layer_count;
	work->layer_ids = new0_array(const char *, grant->layer_count);
	for (i = 0; i < grant->layer_count; i++)
		work->layer_ids[i] = work->create->result.layers[i].id;
	for (i = 0; i < work->components.count; i++)
		work->rows[i] = (struct db_component){
			.kind = (char *)work->components.rows[i].kind,
			.name = work->components.rows[i].name,
			.value = work->components.rows[i].value,
		};
	grant->spec = work->create->spec;
	grant->peer = work->create->peer;
	grant->hash = work->create->result.hash;
	grant->owner = core_owner(core, work->create->peer->identity.uid);
	grant->components = work->rows;
	grant->component_count = work->components.count;
	grant->layer_ids = work->layer_ids;
	fill_artifacts(work);
	grant->artifacts = work->artifacts.rows;
	grant->artifact_count = work->artifacts.count;
	grant->request_digest = work->request_digest;
	grant->interpreter = work->interpreter.path;
	grant->home = work->interpreter.home;
}

int create_work_grant(struct create_work *work, struct error *err)
{
	if (!work->known) {
		fill_grant(work);
		return leases_grant(work->creates->leases, &work->grant, &work->lease, err);
	}
	work->lease = leases_find(work->creates->leases, work->known->id);
	if (!work->lease)
		return fail(err, -EAGAIN, "INTERNAL_ERROR",
			"the lease of this request ended while it was asked for again");
	return 0;
}

void create_work_clear_result(struct create_result *result)
{
	size_t i;

	for (i = 0; i < result->layer_count; i++)
		free(result->layers[i].directory);
	free(result->layers);
	free(result->base_directory);
	free(result->working_directory);
	free(result->interpreter);
	variables_deinit(&result->variables);
	*result = (struct create_result){ 0 };
}

static int load_known_layers(struct create_work *work, struct error *err)
{
	struct db *db = work->creates->core->db;
	struct db_ids ids = { 0 };
	bool has_requirements = work->create->spec->requirements.path;
	size_t i, wanted = work->input_count + has_requirements;
	int r;

	r = db_list_lease_layers(db, work->known->id, &ids, err);
	if (r == 0 && ids.count != wanted)
		r = fail(err, -EIO, "INTERNAL_ERROR", "lease '%s' has %zu layers instead of %zu",
			work->known->id, ids.count, wanted);
	if (r == 0 && has_requirements)
		r = create_install_take(work, ids.rows[work->input_count], err);
	for (i = 0; i < work->input_count && r == 0; i++) {
		struct input *input = &work->inputs[i];

		r = fold(db_find_layer(db, ids.rows[i], &input->layer, err));
		input->origin = INPUT_FOUND;
		input->is_directory = text_equal(input->layer.kind, "directory");
	}
	free(ids.rows);
	return r;
}

/* None: there is none, or an earlier pyenvd made the lease; then it is looked for again. */
static int load_known_interpreter(struct create_work *work, struct error *err)
{
	char *path, *home;
	int r;

	r = db_find_lease_interpreter(work->creates->core->db, work->known->id, &path, &home, err);
	if (r)
		return r == DB_E_NOT_FOUND ? 0 : r;
	interpreter_know(&work->interpreter, path, *home ? home : NULL);
	free(path);
	free(home);
	return 0;
}

int create_work_look_for_known(struct create_work *work, struct error *err)
{
	const struct create *create = work->create;
	struct db_lease known;
	int r;

	if (!*create->spec->request_id)
		return 0;
	r = leases_find_by_request(work->creates->leases, create->peer->identity.uid,
		create->spec->request_id, &known, err);
	if (r == DB_E_NOT_FOUND)
		return 0;
	if (r)
		return r;
	if (!text_equal(known.request_digest, work->request_digest))
		return fail(err, -EEXIST, "REQUEST_ID_REUSED",
			"request_id '%s' was used for another request, whose lease '%s' still "
			"lives",
			create->spec->request_id, known.id);
	work->known = new0(struct db_lease);
	*work->known = known;
	r = load_known_layers(work, err);
	return r ? r : load_known_interpreter(work, err);
}
