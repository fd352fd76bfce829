/* From core to the wire. Strings of the messages point into what core handed out,
 * or hang on the pool: nothing is freed one by one. */
#include <stdio.h>
#include "daemon/api/convert.h"
#include "proto/beam.h"

void convert_pool_deinit(struct convert_pool *pool)
{
	size_t i;

	for (i = 0; i < pool->count; i++)
		free(pool->blocks[i]);
	free(pool->blocks);
	*pool = (struct convert_pool){ 0 };
}

static void *keep(struct convert_pool *pool, void *block)
{
	if (pool->count == pool->allocated) {
		pool->allocated = pool->allocated ? pool->allocated * 2 : 32;
		pool->blocks = realloc(pool->blocks, pool->allocated * sizeof(void *));
		if (!pool->blocks)
			abort();
	}
	pool->blocks[pool->count++] = block;
	return block;
}

void *convert_alloc(struct convert_pool *pool, size_t count, size_t size)
{
	return keep(pool, alloc0(count, size));
}

#define make(pool, type) ((type *)convert_alloc((pool), 1, sizeof(type)))
#define make_array(pool, type, n) ((type *)convert_alloc((pool), (n), sizeof(type)))

char *convert_keep(struct convert_pool *pool, char *text)
{
	return keep(pool, text);
}

static char *copy(struct convert_pool *pool, const char *text)
{
	return keep(pool, text_copy(text));
}

static Pyenvd__V1__LayerOrigin from_origin(enum input_origin origin)
{
	static const Pyenvd__V1__LayerOrigin origins[] = {
		[INPUT_FOUND] = PYENVD__V1__LAYER_ORIGIN__LAYER_ORIGIN_FOUND,
		[INPUT_JOINED] = PYENVD__V1__LAYER_ORIGIN__LAYER_ORIGIN_JOINED,
		[INPUT_MADE] = PYENVD__V1__LAYER_ORIGIN__LAYER_ORIGIN_MADE,
	};

	return origins[origin];
}

static void fill_layers(Pyenvd__V1__CreateEnvironmentResponse *wire,
	const struct create_result *result, struct convert_pool *pool)
{
	Pyenvd__V1__PreparedLayer *rows = make_array(
		pool, Pyenvd__V1__PreparedLayer, result->layer_count);
	size_t i;

	wire->n_layers = result->layer_count;
	wire->layers = make_array(pool, Pyenvd__V1__PreparedLayer *, result->layer_count);
	for (i = 0; i < result->layer_count; i++) {
		const struct create_layer *layer = &result->layers[i];

		wire->layers[i] = &rows[i];
		pyenvd__v1__prepared_layer__init(&rows[i]);
		rows[i].layer_id = (char *)layer->id;
		rows[i].source = (char *)layer->source;
		rows[i].origin = from_origin(layer->origin);
		rows[i].directory = layer->directory;
		rows[i].size_bytes = layer->bytes;
	}
}

static void fill_variables(Pyenvd__V1__CreateEnvironmentResponse *wire,
	const struct variables *variables, struct convert_pool *pool)
{
	Pyenvd__V1__CreateEnvironmentResponse__VariablesEntry *rows = make_array(
		pool, Pyenvd__V1__CreateEnvironmentResponse__VariablesEntry, variables->count);
	size_t i;

	wire->n_variables = variables->count;
	wire->variables = make_array(
		pool, Pyenvd__V1__CreateEnvironmentResponse__VariablesEntry *, variables->count);
	for (i = 0; i < variables->count; i++) {
		wire->variables[i] = &rows[i];
		pyenvd__v1__create_environment_response__variables_entry__init(&rows[i]);
		rows[i].key = variables->rows[i].name;
		rows[i].value = variables->rows[i].value;
	}
}

/* Variables are sorted. */
static void fill_beam(Pyenvd__V1__CreateEnvironmentResponse *wire, const struct spec *spec,
	const struct variables *variables, struct convert_pool *pool)
{
	struct beam_variable *rows = make_array(pool, struct beam_variable, variables->count);
	struct buffer bytes = { 0 };
	size_t i;

	for (i = 0; i < variables->count; i++)
		rows[i] = (struct beam_variable){
			variables->rows[i].name,
			variables->rows[i].value,
		};
	if (spec->worker == SPEC_WORKER_DOCKER)
		beam_docker_environment(spec->worker_program, &bytes);
	else
		beam_process_environment(
			spec->worker_program ? spec->worker_program : PYENVD_RUNNER, rows,
			variables->count, &bytes);
	wire->beam_environment.data = keep(pool, bytes.data);
	wire->beam_environment.len = bytes.size;
}

Pyenvd__V1__CreateEnvironmentResponse *convert_result(
	const struct spec *spec, const struct create_result *result, struct convert_pool *pool)
{
	Pyenvd__V1__CreateEnvironmentResponse *wire = make(
		pool, Pyenvd__V1__CreateEnvironmentResponse);

	pyenvd__v1__create_environment_response__init(wire);
	wire->lease_id = (char *)result->lease_id;
	wire->dependency_hash = (char *)result->hash;
	wire->hit = result->hit;
	wire->base_directory = result->base_directory;
	wire->working_directory = result->working_directory;
	wire->interpreter = result->interpreter;
	wire->expires_unix_ms = result->expires;
	fill_layers(wire, result, pool);
	fill_variables(wire, &result->variables, pool);
	fill_beam(wire, spec, &result->variables, pool);
	wire->timings = make(pool, Pyenvd__V1__Timings);
	pyenvd__v1__timings__init(wire->timings);
	wire->timings->total_us = result->total_us;
	wire->timings->resolve_us = result->resolve_us;
	wire->timings->prepare_us = result->prepare_us;
	wire->timings->lease_us = result->lease_us;
	return wire;
}

Pyenvd__V1__Phase convert_phase(enum job_phase phase)
{
	static const Pyenvd__V1__Phase phases[] = {
		[JOB_PHASE_WAITING] = PYENVD__V1__PHASE__PHASE_WAITING,
		[JOB_PHASE_DIGEST] = PYENVD__V1__PHASE__PHASE_DIGEST,
		[JOB_PHASE_EXTRACT] = PYENVD__V1__PHASE__PHASE_EXTRACT,
		[JOB_PHASE_BYTECODE] = PYENVD__V1__PHASE__PHASE_BYTECODE,
		[JOB_PHASE_FINISH] = PYENVD__V1__PHASE__PHASE_FINISH,
		[JOB_PHASE_INSTALL] = PYENVD__V1__PHASE__PHASE_INSTALL,
		[JOB_PHASE_UPLOAD] = PYENVD__V1__PHASE__PHASE_UPLOAD,
	};

	return phases[phase];
}

void convert_progress(const struct create_progress *progress, Pyenvd__V1__Progress *ret)
{
	pyenvd__v1__progress__init(ret);
	ret->source = (char *)progress->source;
	ret->phase = convert_phase(progress->progress.phase);
	ret->done_bytes = progress->progress.done_bytes;
	ret->total_bytes = progress->progress.total_bytes;
	ret->done_entries = progress->progress.done_entries;
}

static Pyenvd__V1__LayerState from_state(enum layer_state state)
{
	static const Pyenvd__V1__LayerState states[] = {
		[LAYER_PREPARING] = PYENVD__V1__LAYER_STATE__LAYER_STATE_PREPARING,
		[LAYER_READY] = PYENVD__V1__LAYER_STATE__LAYER_STATE_READY,
		[LAYER_DELETING] = PYENVD__V1__LAYER_STATE__LAYER_STATE_DELETING,
	};

	return states[state];
}

Pyenvd__V1__Layer *convert_layer(
	const struct db_layer *layer, const struct manager *manager, struct convert_pool *pool)
{
	Pyenvd__V1__Layer *wire = make(pool, Pyenvd__V1__Layer);

	pyenvd__v1__layer__init(wire);
	wire->layer_id = copy(pool, layer->id);
	wire->layer_key = copy(pool, layer->key);
	wire->kind = copy(pool, layer->kind);
	wire->state = from_state(layer->state);
	wire->has_uid = layer->owner != DB_SHARED;
	wire->uid = wire->has_uid ? (uint32_t)layer->owner : 0;
	wire->artifact_sha256 = copy(pool, layer->digest);
	wire->artifact_bytes = layer->artifact_bytes;
	wire->size_bytes = layer->bytes;
	wire->shared_bytes = layer->shared_bytes;
	wire->superseded = layer->superseded;
	wire->entries = layer->entries;
	wire->durable = layer->durable;
	wire->created_unix_ms = layer->created;
	wire->last_used_unix_ms = layer->used;
	wire->leases = layer->leases;
	wire->directory = convert_keep(pool, manager_layer_directory(manager, layer->id));
	return wire;
}

void convert_artifact(const struct db_artifact *artifact, Pyenvd__V1__Artifact *ret)
{
	pyenvd__v1__artifact__init(ret);
	ret->sha256 = (char *)artifact->digest;
	ret->uid = artifact->uid;
	ret->size_bytes = artifact->bytes;
	ret->durable = artifact->durable;
	ret->created_unix_ms = artifact->created;
	ret->last_used_unix_ms = artifact->used;
}

Pyenvd__V1__Artifact **convert_artifacts(
	const struct db_artifact *rows, size_t count, struct convert_pool *pool)
{
	Pyenvd__V1__Artifact *wire = make_array(pool, Pyenvd__V1__Artifact, count);
	Pyenvd__V1__Artifact **list = make_array(pool, Pyenvd__V1__Artifact *, count);
	size_t i;

	for (i = 0; i < count; i++) {
		convert_artifact(&rows[i], &wire[i]);
		list[i] = &wire[i];
	}
	return list;
}

Pyenvd__V1__Component **convert_components(
	const struct db_components *components, struct convert_pool *pool)
{
	Pyenvd__V1__Component *wire = make_array(pool, Pyenvd__V1__Component, components->count);
	Pyenvd__V1__Component **list = make_array(pool, Pyenvd__V1__Component *, components->count);
	size_t i;

	for (i = 0; i < components->count; i++) {
		pyenvd__v1__component__init(&wire[i]);
		wire[i].kind = copy(pool, components->rows[i].kind);
		wire[i].name = copy(pool, components->rows[i].name);
		wire[i].value = copy(pool, components->rows[i].value);
		list[i] = &wire[i];
	}
	return list;
}

Pyenvd__V1__Environment *convert_environment(
	const struct db_environment *environment, struct convert_pool *pool)
{
	Pyenvd__V1__Environment *wire = make(pool, Pyenvd__V1__Environment);

	pyenvd__v1__environment__init(wire);
	wire->dependency_hash = copy(pool, environment->hash);
	wire->has_uid = environment->owner != DB_SHARED;
	wire->uid = wire->has_uid ? (uint32_t)environment->owner : 0;
	wire->created_unix_ms = environment->created;
	wire->last_used_unix_ms = environment->used;
	wire->uses = environment->uses;
	wire->leases = environment->leases;
	wire->size_bytes = environment->bytes;
	return wire;
}

char **convert_ids(const struct db_ids *ids, struct convert_pool *pool)
{
	char **texts = make_array(pool, char *, ids->count);
	size_t i;

	for (i = 0; i < ids->count; i++)
		texts[i] = copy(pool, ids->rows[i]);
	return texts;
}

Pyenvd__V1__Lease *convert_lease(
	const struct db_lease *lease, struct manager *manager, struct convert_pool *pool)
{
	static const char *const holders[] = {
		[DB_HOLDER_PROCESS] = "process",
		[DB_HOLDER_CONNECTION] = "connection",
		[DB_HOLDER_TIME] = "time-to-live",
	};
	Pyenvd__V1__Lease *wire = make(pool, Pyenvd__V1__Lease);
	struct db_ids ids = { 0 };

	pyenvd__v1__lease__init(wire);
	wire->lease_id = copy(pool, lease->id);
	wire->dependency_hash = copy(pool, lease->hash);
	wire->uid = lease->uid;
	wire->label = copy(pool, lease->label);
	wire->request_id = copy(pool, lease->request_id);
	wire->holder = (char *)holders[lease->holder];
	wire->holder_pid = lease->pid;
	wire->guardian_pid = lease->guardian_pid;
	wire->expires_unix_ms = lease->expires;
	wire->created_unix_ms = lease->created;
	wire->base_directory = convert_keep(pool, manager_lease_directory(manager, lease->id));
	wire->working_directory = convert_keep(pool, text_format("%s/work", wire->base_directory));
	/* What cannot be read is shown as none. */
	if (manager_lease_layers(manager, lease->id, &ids, NULL) == 0) {
		wire->n_layer_ids = ids.count;
		wire->layer_ids = convert_ids(&ids, pool);
	}
	free(ids.rows);
	return wire;
}
