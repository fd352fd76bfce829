#include "tests/support/scratch.h"

#include <stdio.h>
#include "base/sha256.h"
#include "daemon/store/db.h"

const char *scratch_hash(const char *digits)
{
	static char hashes[8][SHA256_HEX_SIZE];
	static unsigned next;
	char *hash = hashes[next++ % 8];
	size_t i, length = strlen(digits);

	for (i = 0; i < SHA256_HEX_SIZE - 1; i++)
		hash[i] = i < length ? digits[i] : '0';
	hash[i] = 0;
	return hash;
}

int scratch_add_layer(struct db *db, const char *id, uint64_t bytes, int64_t now, struct error *err)
{
	struct db_layer layer = {
		.owner = DB_SHARED,
		.kind = "archive",
		.artifact_bytes = 7,
		.bytes = bytes,
		.entries = 1,
		.created = now,
	};
	int r;

	snprintf(layer.id, sizeof(layer.id), "%s", id);
	snprintf(layer.key, sizeof(layer.key), "key-%s", id);
	snprintf(layer.digest, sizeof(layer.digest), "digest-%s", id);
	r = db_add_layer(db, &layer, err);
	return r ? r : db_publish_layer(db, &layer, now, err);
}

int scratch_use_environment(struct db *db, const char *hash, const char *const *layers,
	size_t count, int64_t now, struct error *err)
{
	char kind[] = "archive", python[] = "python", name[] = "venv", none[] = "", value[] = "abc";
	const struct db_component components[] = {
		{ kind, name, value },
		{ python, none, value },
	};

	return db_use_environment(
		db, hash, DB_SHARED, components, ARRAY_SIZE(components), layers, count, now, err);
}

int scratch_add_lease(struct db *db, const char *id, const char *hash, const char *request_id,
	const char *const *layers, size_t count, struct error *err)
{
	struct db_lease lease = {
		.uid = 1000,
		.gid = 100,
		.owner = DB_SHARED,
		.label = "a job",
		.holder = DB_HOLDER_PROCESS,
		.pid = 1,
		.pid_start = 2,
		.boot_id = "boot",
		.created = 5,
		.worker = DB_WORKER_PROCESS,
	};

	snprintf(lease.id, sizeof(lease.id), "%s", id);
	snprintf(lease.hash, sizeof(lease.hash), "%s", hash);
	snprintf(lease.request_id, sizeof(lease.request_id), "%s", request_id);
	snprintf(lease.request_digest, sizeof(lease.request_digest), "digest-%s", id);
	return db_add_lease(db, &lease, layers, count, err);
}
