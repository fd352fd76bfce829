#include "client/list-rows.h"

#include <inttypes.h>
#include "client/describe.h"
#include "client/format.h"

/* What is shown of a dependency hash: enough for show, which wants eight. */
#define HASH_DIGITS 12

static char *number(uint64_t value)
{
	return text_format("%" PRIu64, value);
}

static char *age(int64_t unix_ms)
{
	return unix_ms ? format_age(unix_ms) : NULL;
}

static char *owner(bool has_uid, uint32_t uid)
{
	return has_uid ? describe_user(uid) : text_copy("all");
}

struct table list_rows_environments(void)
{
	static const char *const headers[] = { "HASH", "OWNER", ">SIZE", ">LEASES", ">USES", ">AGE",
		">USED" };

	return (struct table){ .columns = ARRAY_SIZE(headers), .headers = headers };
}

void list_rows_add_environment(struct table *table, const Pyenvd__V1__Environment *environment)
{
	table_add(table, text_format("%.*s", HASH_DIGITS, environment->dependency_hash));
	table_add(table, owner(environment->has_uid, environment->uid));
	table_add(table, format_bytes(environment->size_bytes));
	table_add(table, number(environment->leases));
	table_add(table, number(environment->uses));
	table_add(table, age(environment->created_unix_ms));
	table_add(table, age(environment->last_used_unix_ms));
}

struct table list_rows_layers(void)
{
	static const char *const headers[] = { "LAYER", "KIND", "STATE", "OWNER", ">SIZE",
		">SHARED", ">ENTRIES", ">LEASES", ">AGE", ">USED", "DIRECTORY" };

	return (struct table){ .columns = ARRAY_SIZE(headers), .headers = headers };
}

void list_rows_add_layer(struct table *table, const Pyenvd__V1__Layer *layer)
{
	table_add(table, text_copy(layer->layer_id));
	table_add(table, text_copy(layer->kind));
	table_add(table, text_copy(describe_layer_state(layer)));
	table_add(table, owner(layer->has_uid, layer->uid));
	table_add(table, format_bytes(layer->size_bytes));
	table_add(table, layer->shared_bytes ? format_bytes(layer->shared_bytes) : NULL);
	table_add(table, number(layer->entries));
	table_add(table, number(layer->leases));
	table_add(table, age(layer->created_unix_ms));
	table_add(table, age(layer->last_used_unix_ms));
	table_add(table, text_copy(layer->directory));
}

struct table list_rows_leases(void)
{
	static const char *const headers[] = { "LEASE", "OWNER", "HOLDER", ">GUARDIAN", ">AGE",
		">ENDS IN", "ENVIRONMENT", "LABEL" };

	return (struct table){ .columns = ARRAY_SIZE(headers), .headers = headers };
}

void list_rows_add_lease(struct table *table, const Pyenvd__V1__Lease *lease)
{
	table_add(table, text_copy(lease->lease_id));
	table_add(table, describe_user(lease->uid));
	table_add(table, describe_holder(lease));
	table_add(table, lease->guardian_pid ? text_format("%" PRId32, lease->guardian_pid) : NULL);
	table_add(table, age(lease->created_unix_ms));
	table_add(table, lease->expires_unix_ms ? format_left(lease->expires_unix_ms) : NULL);
	table_add(table, text_format("%.*s", HASH_DIGITS, lease->dependency_hash));
	table_add(table, text_copy(lease->label));
}

struct table list_rows_creations(void)
{
	static const char *const headers[] = { "CREATION", "KIND", "OWNER", "PHASE", ">DONE", ">OF",
		">WAITERS", ">AGE", ">WORKER", "SUBJECT" };

	return (struct table){ .columns = ARRAY_SIZE(headers), .headers = headers };
}

void list_rows_add_creation(struct table *table, const Pyenvd__V1__Creation *creation)
{
	table_add(table, text_copy(creation->creation_id));
	table_add(table, text_copy(creation->kind));
	table_add(table, describe_user(creation->uid));
	table_add(table, text_copy(describe_phase(creation->phase)));
	table_add(table, format_bytes(creation->done_bytes));
	table_add(table, creation->total_bytes ? format_bytes(creation->total_bytes) : NULL);
	table_add(table, number(creation->waiters));
	table_add(table, age(creation->started_unix_ms));
	table_add(
		table, creation->worker_pid ? text_format("%" PRId32, creation->worker_pid) : NULL);
	table_add(table, text_copy(creation->subject));
}

struct table list_rows_artifacts(void)
{
	static const char *const headers[] = { "SHA-256", "OWNER", ">SIZE", ">AGE", ">USED" };

	return (struct table){ .columns = ARRAY_SIZE(headers), .headers = headers };
}

void list_rows_add_artifact(struct table *table, const Pyenvd__V1__Artifact *artifact)
{
	table_add(table, text_copy(artifact->sha256));
	table_add(table, describe_user(artifact->uid));
	table_add(table, format_bytes(artifact->size_bytes));
	table_add(table, age(artifact->created_unix_ms));
	table_add(table, age(artifact->last_used_unix_ms));
}
