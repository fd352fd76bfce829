#include "client/describe.h"

#include <inttypes.h>
#include <pwd.h>
#include "base/util.h"
#include "client/format.h"
#include "client/table.h"

#define fact(name, ...) table_print_fact(file, name, __VA_ARGS__)

const char *describe_layer_state(const Pyenvd__V1__Layer *layer)
{
	switch (layer->state) {
	case PYENVD__V1__LAYER_STATE__LAYER_STATE_PREPARING:
		return "preparing";
	case PYENVD__V1__LAYER_STATE__LAYER_STATE_READY:
		return layer->superseded ? "superseded" : "ready";
	case PYENVD__V1__LAYER_STATE__LAYER_STATE_DELETING:
		return "deleting";
	default:
		return "unknown";
	}
}

const char *describe_phase(Pyenvd__V1__Phase phase)
{
	switch (phase) {
	case PYENVD__V1__PHASE__PHASE_WAITING:
		return "waiting";
	case PYENVD__V1__PHASE__PHASE_DIGEST:
		return "reading";
	case PYENVD__V1__PHASE__PHASE_EXTRACT:
		return "extracting";
	case PYENVD__V1__PHASE__PHASE_BYTECODE:
		return "compiling";
	case PYENVD__V1__PHASE__PHASE_FINISH:
		return "finishing";
	case PYENVD__V1__PHASE__PHASE_INSTALL:
		return "installing";
	case PYENVD__V1__PHASE__PHASE_UPLOAD:
		return "uploading";
	default:
		return "preparing";
	}
}

static const char *origin_name(Pyenvd__V1__LayerOrigin origin)
{
	switch (origin) {
	case PYENVD__V1__LAYER_ORIGIN__LAYER_ORIGIN_FOUND:
		return "found";
	case PYENVD__V1__LAYER_ORIGIN__LAYER_ORIGIN_JOINED:
		return "joined";
	case PYENVD__V1__LAYER_ORIGIN__LAYER_ORIGIN_MADE:
		return "made";
	default:
		return "unknown";
	}
}

static const char *serving_name(Pyenvd__V1__ServingState state)
{
	switch (state) {
	case PYENVD__V1__SERVING_STATE__SERVING_STATE_SERVING:
		return "serving";
	case PYENVD__V1__SERVING_STATE__SERVING_STATE_DRAINING:
		return "draining: new creates are refused";
	default:
		return "unknown";
	}
}

char *describe_user(uint32_t uid)
{
	struct passwd entry, *found = NULL;
	char buffer[4096];

	getpwuid_r(uid, &entry, buffer, sizeof(buffer), &found);
	return found ? text_copy(found->pw_name) : text_format("%" PRIu32, uid);
}

char *describe_holder(const Pyenvd__V1__Lease *lease)
{
	return lease->holder_pid ? text_format("%s %" PRId32, lease->holder, lease->holder_pid)
				 : text_copy(lease->holder);
}

static void fact_owner(FILE *file, bool has_uid, uint32_t uid)
{
	_cleanup_free_ char *user = describe_user(uid);

	if (has_uid)
		fact("owner", "%s (uid %" PRIu32 ")", user, uid);
	else
		fact("owner", "all users may share it");
}

static void fact_time(FILE *file, const char *name, int64_t unix_ms)
{
	_cleanup_free_ char *time = format_time(unix_ms);
	_cleanup_free_ char *age = format_age(unix_ms);

	if (unix_ms)
		fact(name, "%s (%s ago)", time, age);
	else
		fact(name, "-");
}

static void fact_expiry(FILE *file, int64_t unix_ms)
{
	_cleanup_free_ char *time = format_time(unix_ms);
	_cleanup_free_ char *left = format_left(unix_ms);

	if (unix_ms)
		fact("ends", "%s (in %s)", time, left);
}

static void fact_bytes(FILE *file, const char *name, uint64_t bytes)
{
	_cleanup_free_ char *size = format_bytes(bytes);

	fact(name, "%s (%" PRIu64 " bytes)", size, bytes);
}

static void fact_texts(FILE *file, const char *name, char *const *texts, size_t count)
{
	size_t i;

	for (i = 0; i < count; i++)
		fact(name, "%s", texts[i]);
}

static void print_layers(const Pyenvd__V1__CreateEnvironmentResponse *response, FILE *file)
{
	static const char *const headers[] = { "LAYER", "ORIGIN", ">SIZE", "SOURCE", "DIRECTORY" };
	_cleanup_(table_deinit) struct table table = {
		.columns = ARRAY_SIZE(headers),
		.headers = headers,
	};
	size_t i;

	for (i = 0; i < response->n_layers; i++) {
		const Pyenvd__V1__PreparedLayer *layer = response->layers[i];

		table_add(&table, text_copy(layer->layer_id));
		table_add(&table, text_copy(origin_name(layer->origin)));
		table_add(&table, format_bytes(layer->size_bytes));
		table_add(&table, text_copy(layer->source));
		table_add(&table, text_copy(layer->directory));
	}
	fputc('\n', file);
	table_print(&table, file);
}

static void fact_timings(FILE *file, const Pyenvd__V1__Timings *timings)
{
	_cleanup_free_ char *total = format_us(timings->total_us);
	_cleanup_free_ char *resolve = format_us(timings->resolve_us);
	_cleanup_free_ char *prepare = format_us(timings->prepare_us);
	_cleanup_free_ char *lease = format_us(timings->lease_us);

	fact("time", "%s (sources %s, layers %s, lease %s)", total, resolve, prepare, lease);
}

void describe_created(const Pyenvd__V1__CreateEnvironmentResponse *response, FILE *file)
{
	size_t i;

	fact("lease", "%s", response->lease_id);
	fact("dependency hash", "%s", response->dependency_hash);
	fact("hit", "%s", response->hit ? "yes" : "no");
	fact("base directory", "%s", response->base_directory);
	fact("working directory", "%s", response->working_directory);
	fact("interpreter", "%s", response->interpreter);
	fact_expiry(file, response->expires_unix_ms);
	if (response->timings)
		fact_timings(file, response->timings);
	for (i = 0; i < response->n_variables; i++)
		fact("variable", "%s=%s", response->variables[i]->key,
			response->variables[i]->value);
	if (response->n_layers)
		print_layers(response, file);
}

static void fact_nearest(FILE *file, const Pyenvd__V1__ExplainEnvironmentResponse *response)
{
	_cleanup_free_ char *age = NULL;

	if (!response->nearest) {
		fact("nearest", "none has anything of it");
		return;
	}
	age = format_age(response->nearest->last_used_unix_ms);
	fact("nearest", "%s (%" PRIu32 " of %zu parts, used %s ago)",
		response->nearest->dependency_hash, response->nearest_equal, response->n_components,
		age);
}

void describe_explanation(const Pyenvd__V1__ExplainEnvironmentResponse *response, FILE *file)
{
	const char *hash = *response->dependency_hash
		? response->dependency_hash
		: "(it depends on a Python in an archive that is not prepared)";
	size_t i;

	if (response->known)
		fact(response->ready ? "known and ready" : "known, not ready", "%s", hash);
	else
		fact(response->ready ? "ready, not known" : "not known", "%s", hash);
	fact_texts(file, "to prepare", response->missing, response->n_missing);
	if (response->known)
		return;
	fact_nearest(file, response);
	for (i = 0; i < response->n_differences; i++)
		fact("differs", "%s", response->differences[i]->text);
}

void describe_environment(const Pyenvd__V1__Environment *environment, FILE *file)
{
	size_t i;

	fact("environment", "%s", environment->dependency_hash);
	fact_owner(file, environment->has_uid, environment->uid);
	fact_bytes(file, "size", environment->size_bytes);
	fact_time(file, "created", environment->created_unix_ms);
	fact_time(file, "last used", environment->last_used_unix_ms);
	fact("leases", "%" PRIu64 " now, %" PRIu64 " ever", environment->leases, environment->uses);
	fact_texts(file, "layer", environment->layer_ids, environment->n_layer_ids);
	for (i = 0; i < environment->n_components; i++) {
		const Pyenvd__V1__Component *component = environment->components[i];

		fact(component->kind, "%s%s%s", component->name,
			*component->name && *component->value ? " = " : "", component->value);
	}
}

void describe_layer(const Pyenvd__V1__Layer *layer, FILE *file)
{
	size_t i;

	fact("layer", "%s", layer->layer_id);
	fact("key", "%s", layer->layer_key);
	fact("kind", "%s", layer->kind);
	fact("state", "%s", describe_layer_state(layer));
	fact_owner(file, layer->has_uid, layer->uid);
	fact("artifact", "%s", layer->artifact_sha256);
	fact_bytes(file, "artifact size", layer->artifact_bytes);
	fact_bytes(file, "size", layer->size_bytes);
	if (layer->shared_bytes)
		fact_bytes(file, "shared size", layer->shared_bytes);
	fact("entries", "%" PRIu64, layer->entries);
	fact("on the disk", "%s", layer->durable ? "yes" : "not for certain yet");
	fact_time(file, "created", layer->created_unix_ms);
	fact_time(file, "last used", layer->last_used_unix_ms);
	if (layer->resolved_unix_ms)
		fact_time(file, "resolved", layer->resolved_unix_ms);
	fact("leases", "%" PRIu64, layer->leases);
	fact("directory", "%s", layer->directory);
	for (i = 0; i < layer->n_packages; i++)
		fact("package", "%s", layer->packages[i]);
}

void describe_lease(const Pyenvd__V1__Lease *lease, FILE *file)
{
	_cleanup_free_ char *holder = describe_holder(lease);

	fact("lease", "%s", lease->lease_id);
	fact("environment", "%s", lease->dependency_hash);
	fact_owner(file, true, lease->uid);
	fact("label", "%s", lease->label);
	fact("request id", "%s", lease->request_id);
	fact("holder", "%s", holder);
	if (lease->guardian_pid)
		fact("guardian", "process %" PRId32, lease->guardian_pid);
	fact_expiry(file, lease->expires_unix_ms);
	fact_time(file, "created", lease->created_unix_ms);
	fact("base directory", "%s", lease->base_directory);
	fact("working directory", "%s", lease->working_directory);
	fact_texts(file, "layer", lease->layer_ids, lease->n_layer_ids);
}

static void describe_counters(const Pyenvd__V1__Counters *counters, FILE *file)
{
	fact("creates", "%" PRIu64 ", of them %" PRIu64 " hits and %" PRIu64 " failures",
		counters->creates, counters->create_hits, counters->create_failures);
	fact("layers since start", "%" PRIu64 " made, %" PRIu64 " failed, %" PRIu64 " collected",
		counters->layers_made, counters->layers_failed, counters->layers_collected);
	fact("leases since start", "%" PRIu64 " released, %" PRIu64 " expired",
		counters->leases_released, counters->leases_expired);
	fact("workers since start", "%" PRIu64 " started, %" PRIu64 " died",
		counters->workers_started, counters->workers_died);
	fact("sources hashed", "%" PRIu64, counters->sources_hashed);
	fact("uploads since start", "%" PRIu64 ", and %" PRIu64 " failed; %" PRIu64 " collected",
		counters->uploads, counters->uploads_failed, counters->artifacts_collected);
}

void describe_status(const Pyenvd__V1__GetStatusResponse *status, FILE *file)
{
	fact("version", "%s", status->version);
	fact("state", "%s", serving_name(status->state));
	fact("pid", "%" PRId32, status->pid);
	fact_time(file, "started", status->started_unix_ms);
	fact("state directory", "%s", status->state_directory);
	fact("environments", "%" PRIu64, status->environments);
	fact("layers", "%" PRIu64, status->layers);
	fact("leases", "%" PRIu64, status->leases);
	fact("creations", "%" PRIu64, status->creations);
	fact("workers", "%" PRIu32, status->workers_running);
	fact_bytes(file, "layer size", status->layer_bytes);
	fact("artifacts", "%" PRIu64, status->artifacts);
	fact_bytes(file, "artifact size", status->artifact_bytes);
	if (status->max_bytes)
		fact_bytes(file, "limit", status->max_bytes);
	else
		fact("limit", "none");
	fact_bytes(file, "leased size", status->leased_bytes);
	if (status->counters)
		describe_counters(status->counters, file);
	fact_texts(file, "limitation", status->limitations, status->n_limitations);
	fact_texts(file, "leftover", status->leftovers, status->n_leftovers);
}
