/* The service Admin: what is there, and tidying up. */
#include <errno.h>
#include <stdio.h>
#include <unistd.h>
#include "daemon/api/convert.h"
#include "daemon/api/services.h"

/* ---- GetStatus */

static void fill_counters(const struct manager_status *status, Pyenvd__V1__Counters *ret)
{
	pyenvd__v1__counters__init(ret);
	ret->creates = status->counters.creates;
	ret->create_hits = status->counters.create_hits;
	ret->create_failures = status->counters.create_failures;
	ret->layers_made = status->counters.layers_made;
	ret->layers_failed = status->counters.layers_failed;
	ret->layers_collected = status->counters.layers_collected;
	ret->leases_released = status->counters.leases_released;
	ret->leases_expired = status->counters.leases_expired;
	ret->workers_started = status->pool.started;
	ret->workers_died = status->pool.died;
	ret->sources_hashed = status->pool.hashed;
	ret->uploads = status->counters.uploads;
	ret->uploads_failed = status->counters.uploads_failed;
	ret->artifacts_collected = status->counters.artifacts_collected;
}

static void fill_status(const struct manager_status *status, Pyenvd__V1__GetStatusResponse *ret)
{
	ret->version = (char *)PYENVD_VERSION;
	ret->state = status->is_draining ? PYENVD__V1__SERVING_STATE__SERVING_STATE_DRAINING
					 : PYENVD__V1__SERVING_STATE__SERVING_STATE_SERVING;
	ret->pid = getpid();
	ret->started_unix_ms = status->started;
	ret->state_directory = (char *)status->state_directory;
	ret->environments = status->totals.environments;
	ret->layers = status->totals.layers;
	ret->leases = status->totals.leases;
	ret->creations = status->creations;
	ret->workers_running = status->pool.running;
	ret->layer_bytes = status->totals.layer_bytes;
	ret->max_bytes = status->max_bytes;
	ret->leased_bytes = status->totals.leased_bytes;
	ret->artifacts = status->totals.artifacts;
	ret->artifact_bytes = status->totals.artifact_bytes;
	ret->n_leftovers = status->leftover_count;
	ret->leftovers = (char **)status->leftovers;
}

static void get_status(struct rpc *rpc, const ProtobufCMessage *message)
{
	static char *limitations[] = {
		(char *)"cannot act as other users: serves its own user only",
	};
	Pyenvd__V1__GetStatusResponse response = PYENVD__V1__GET_STATUS_RESPONSE__INIT;
	Pyenvd__V1__Counters counters;
	struct manager_status status;
	struct error err = { 0 };

	if (manager_get_status(rpc->api->manager, &status, &err)) {
		rpc_fail(rpc, &err);
		return;
	}
	fill_status(&status, &response);
	fill_counters(&status, &counters);
	response.counters = &counters;
	if (!identity_may_change()) {
		response.limitations = limitations;
		response.n_limitations = ARRAY_SIZE(limitations);
	}
	rpc_reply(rpc, &response.base);
}

/* ---- lists: a page is full when more may follow */

static void list_environments(struct rpc *rpc, const ProtobufCMessage *message)
{
	const Pyenvd__V1__ListRequest *request = (const void *)message;
	Pyenvd__V1__ListEnvironmentsResponse response =
		PYENVD__V1__LIST_ENVIRONMENTS_RESPONSE__INIT;
	_cleanup_(convert_pool_deinit) struct convert_pool pool = { 0 };
	struct db_environments list = { 0 };
	struct error err = { 0 };
	size_t limit, i;

	if (convert_page(request, &limit, &err) ||
		manager_list_environments(
			rpc->api->manager, rpc->peer, request->page_token, limit, &list, &err)) {
		rpc_fail(rpc, &err);
		return;
	}
	response.environments = convert_alloc(&pool, list.count, sizeof(*response.environments));
	for (i = 0; i < list.count; i++)
		response.environments[i] = convert_environment(&list.rows[i], &pool);
	response.n_environments = list.count;
	if (list.count == limit)
		response.next_page_token = convert_keep(&pool,
			text_format("%s/%lld", list.rows[limit - 1].hash,
				(long long)list.rows[limit - 1].owner));
	rpc_reply(rpc, &response.base);
	free(list.rows);
}

static void list_layers(struct rpc *rpc, const ProtobufCMessage *message)
{
	const Pyenvd__V1__ListRequest *request = (const void *)message;
	Pyenvd__V1__ListLayersResponse response = PYENVD__V1__LIST_LAYERS_RESPONSE__INIT;
	_cleanup_(convert_pool_deinit) struct convert_pool pool = { 0 };
	struct db_layers list = { 0 };
	struct error err = { 0 };
	size_t limit, i;

	if (convert_page(request, &limit, &err) ||
		manager_list_layers(
			rpc->api->manager, rpc->peer, request->page_token, limit, &list, &err)) {
		rpc_fail(rpc, &err);
		return;
	}
	response.layers = convert_alloc(&pool, list.count, sizeof(*response.layers));
	for (i = 0; i < list.count; i++)
		response.layers[i] = convert_layer(&list.rows[i], rpc->api->manager, &pool);
	response.n_layers = list.count;
	if (list.count == limit)
		response.next_page_token = list.rows[limit - 1].id;
	rpc_reply(rpc, &response.base);
	free(list.rows);
}

static void list_leases(struct rpc *rpc, const ProtobufCMessage *message)
{
	const Pyenvd__V1__ListRequest *request = (const void *)message;
	Pyenvd__V1__ListLeasesResponse response = PYENVD__V1__LIST_LEASES_RESPONSE__INIT;
	_cleanup_(convert_pool_deinit) struct convert_pool pool = { 0 };
	struct db_leases list = { 0 };
	struct error err = { 0 };
	size_t limit, i;

	if (convert_page(request, &limit, &err) ||
		manager_list_leases(
			rpc->api->manager, rpc->peer, request->page_token, limit, &list, &err)) {
		rpc_fail(rpc, &err);
		return;
	}
	response.leases = convert_alloc(&pool, list.count, sizeof(*response.leases));
	for (i = 0; i < list.count; i++)
		response.leases[i] = convert_lease(&list.rows[i], rpc->api->manager, &pool);
	response.n_leases = list.count;
	if (list.count == limit)
		response.next_page_token = list.rows[limit - 1].id;
	rpc_reply(rpc, &response.base);
	free(list.rows);
}

static void list_artifacts(struct rpc *rpc, const ProtobufCMessage *message)
{
	const Pyenvd__V1__ListRequest *request = (const void *)message;
	Pyenvd__V1__ListArtifactsResponse response = PYENVD__V1__LIST_ARTIFACTS_RESPONSE__INIT;
	_cleanup_(convert_pool_deinit) struct convert_pool pool = { 0 };
	struct db_artifacts list = { 0 };
	struct error err = { 0 };
	size_t limit;

	if (convert_page(request, &limit, &err) ||
		manager_list_artifacts(
			rpc->api->manager, rpc->peer, request->page_token, limit, &list, &err)) {
		rpc_fail(rpc, &err);
		return;
	}
	response.artifacts = convert_artifacts(list.rows, list.count, &pool);
	response.n_artifacts = list.count;
	if (list.count == limit)
		response.next_page_token = convert_keep(&pool,
			text_format(
				"%s/%u", list.rows[limit - 1].digest, list.rows[limit - 1].uid));
	rpc_reply(rpc, &response.base);
	free(list.rows);
}

static void fill_creation(const struct manager_creation *row, Pyenvd__V1__Creation *ret)
{
	static const char *const kinds[] = {
		[MANAGER_CREATION_LAYER] = "layer",
		[MANAGER_CREATION_ENVIRONMENT] = "environment",
		[MANAGER_CREATION_UPLOAD] = "upload",
	};

	pyenvd__v1__creation__init(ret);
	ret->creation_id = row->id;
	ret->kind = (char *)kinds[row->kind];
	ret->subject = row->subject;
	ret->uid = row->uid;
	ret->phase = convert_phase(row->progress.phase);
	ret->done_bytes = row->progress.done_bytes;
	ret->total_bytes = row->progress.total_bytes;
	ret->done_entries = row->progress.done_entries;
	ret->waiters = (uint32_t)row->waiters;
	ret->started_unix_ms = row->started;
	ret->worker_pid = row->pid;
}

static void list_creations(struct rpc *rpc, const ProtobufCMessage *message)
{
	const Pyenvd__V1__ListRequest *request = (const void *)message;
	Pyenvd__V1__ListCreationsResponse response = PYENVD__V1__LIST_CREATIONS_RESPONSE__INIT;
	_cleanup_(manager_creations_deinit) struct manager_creations list = { 0 };
	_cleanup_(convert_pool_deinit) struct convert_pool pool = { 0 };
	struct error err = { 0 };
	size_t limit, i, n = 0;
	Pyenvd__V1__Creation *rows;

	if (convert_page(request, &limit, &err)) {
		rpc_fail(rpc, &err);
		return;
	}
	manager_list_creations(rpc->api->manager, rpc->peer, &list);
	rows = convert_alloc(&pool, limit, sizeof(*rows));
	response.creations = convert_alloc(&pool, limit, sizeof(*response.creations));
	for (i = 0; i < list.count && n < limit; i++) {
		if (strcmp(list.rows[i].id, request->page_token) <= 0)
			continue;
		fill_creation(&list.rows[i], &rows[n]);
		response.creations[n] = &rows[n];
		n++;
	}
	response.n_creations = n;
	if (n == limit)
		response.next_page_token = rows[n - 1].creation_id;
	rpc_reply(rpc, &response.base);
}

/* ---- Show */

static int fill_environment(struct manager *manager, const struct db_environment *environment,
	Pyenvd__V1__Environment *wire, struct convert_pool *pool, struct error *err)
{
	_cleanup_(db_components_deinit) struct db_components components = { 0 };
	struct db_ids ids = { 0 };
	int r;

	r = manager_environment_layers(manager, environment, &ids, err);
	if (r == 0)
		r = manager_environment_components(manager, environment, &components, err);
	if (r == 0) {
		wire->layer_ids = convert_ids(&ids, pool);
		wire->n_layer_ids = ids.count;
		wire->components = convert_components(&components, pool);
		wire->n_components = components.count;
	}
	free(ids.rows);
	return r;
}

/* A line for each. */
static int fill_layer(struct manager *manager, Pyenvd__V1__Layer *wire, struct convert_pool *pool,
	struct error *err)
{
	_cleanup_(db_install_deinit) struct db_install install = { 0 };
	char *at, *line;
	size_t count = 0;
	int r;

	r = manager_layer_install(manager, wire->layer_id, &install, err);
	if (r || !install.resolved)
		return r;
	wire->resolved_unix_ms = install.resolved_at;
	for (at = install.resolved; *at; at++)
		count += *at == '\n';
	wire->packages = convert_alloc(pool, count + 1, sizeof(*wire->packages));
	for (at = install.resolved; (line = strsep(&at, "\n"));)
		if (*line)
			wire->packages[wire->n_packages++] = convert_keep(pool, text_copy(line));
	return 0;
}

static int fill_found(struct manager *manager, const struct manager_found *found,
	Pyenvd__V1__ShowResponse *ret, struct convert_pool *pool, struct error *err)
{
	switch (found->kind) {
	case MANAGER_FOUND_LEASE:
		ret->found_case = PYENVD__V1__SHOW_RESPONSE__FOUND_LEASE;
		ret->lease = convert_lease(&found->lease, manager, pool);
		return 0;
	case MANAGER_FOUND_LAYER:
		ret->found_case = PYENVD__V1__SHOW_RESPONSE__FOUND_LAYER;
		ret->layer = convert_layer(&found->layer, manager, pool);
		return fill_layer(manager, ret->layer, pool, err);
	case MANAGER_FOUND_ENVIRONMENT:
		ret->found_case = PYENVD__V1__SHOW_RESPONSE__FOUND_ENVIRONMENT;
		ret->environment = convert_environment(&found->environment, pool);
		return fill_environment(manager, &found->environment, ret->environment, pool, err);
	}
	abort();
}

static void show(struct rpc *rpc, const ProtobufCMessage *message)
{
	const Pyenvd__V1__ShowRequest *request = (const void *)message;
	Pyenvd__V1__ShowResponse response = PYENVD__V1__SHOW_RESPONSE__INIT;
	_cleanup_(convert_pool_deinit) struct convert_pool pool = { 0 };
	struct manager_found found;
	struct error err = { 0 };

	if (convert_id(request->id, "id", &err) ||
		manager_find(rpc->api->manager, rpc->peer, request->id, &found, &err) ||
		fill_found(rpc->api->manager, &found, &response, &pool, &err))
		rpc_fail(rpc, &err);
	else
		rpc_reply(rpc, &response.base);
}

/* ---- Collect */

static void collect(struct rpc *rpc, const ProtobufCMessage *message)
{
	const Pyenvd__V1__CollectRequest *request = (const void *)message;
	Pyenvd__V1__CollectResponse response = PYENVD__V1__COLLECT_RESPONSE__INIT;
	_cleanup_(convert_pool_deinit) struct convert_pool pool = { 0 };
	struct manager_collected collected = { 0 };
	struct error err = { 0 };
	size_t i;
	int r;

	r = manager_collect(rpc->api->manager, rpc->peer, request->max_bytes, request->idle_seconds,
		request->dry_run, &collected, &err);
	if (r) {
		rpc_fail(rpc, &err);
	} else {
		response.n_layers = collected.idle.layer_count;
		response.layers = convert_alloc(&pool, response.n_layers, sizeof(*response.layers));
		for (i = 0; i < response.n_layers; i++)
			response.layers[i] = convert_layer(
				&collected.idle.layers.rows[i], rpc->api->manager, &pool);
		response.n_artifacts = collected.idle.artifact_count;
		response.artifacts = convert_artifacts(
			collected.idle.artifacts.rows, response.n_artifacts, &pool);
		response.freed_bytes = collected.freed_bytes;
		response.kept_bytes = collected.kept_bytes;
		rpc_reply(rpc, &response.base);
	}
	free(collected.idle.layers.rows);
	free(collected.idle.artifacts.rows);
}

static const struct rpc_method methods[] = {
	{
		.path = "/pyenvd.v1.Admin/GetStatus",
		.request = &pyenvd__v1__get_status_request__descriptor,
		.handle = get_status,
	},
	{
		.path = "/pyenvd.v1.Admin/ListEnvironments",
		.request = &pyenvd__v1__list_request__descriptor,
		.handle = list_environments,
	},
	{
		.path = "/pyenvd.v1.Admin/ListLayers",
		.request = &pyenvd__v1__list_request__descriptor,
		.handle = list_layers,
	},
	{
		.path = "/pyenvd.v1.Admin/ListLeases",
		.request = &pyenvd__v1__list_request__descriptor,
		.handle = list_leases,
	},
	{
		.path = "/pyenvd.v1.Admin/ListCreations",
		.request = &pyenvd__v1__list_request__descriptor,
		.handle = list_creations,
	},
	{
		.path = "/pyenvd.v1.Admin/ListArtifacts",
		.request = &pyenvd__v1__list_request__descriptor,
		.handle = list_artifacts,
	},
	{
		.path = "/pyenvd.v1.Admin/Show",
		.request = &pyenvd__v1__show_request__descriptor,
		.handle = show,
	},
	{
		.path = "/pyenvd.v1.Admin/Collect",
		.request = &pyenvd__v1__collect_request__descriptor,
		.handle = collect,
	},
};

const struct rpc_service admin_service = {
	.name = "pyenvd.v1.Admin",
	.methods = methods,
	.method_count = ARRAY_SIZE(methods),
};
