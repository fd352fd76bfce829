#pragma once
/*
 * Between the wire and core. Everything that came in is validated here; what core
 * gets is right, or is a bug. Loop thread only.
 */
#include "daemon/core/manager.h"
#include "proto/grpc-status.h"
#include "pyenvd.pb-c.h"

/* The one place that chooses a gRPC code. */
enum grpc_code convert_status(const struct error *err);

int convert_spec(
	const Pyenvd__V1__CreateEnvironmentRequest *wire, struct spec *ret, struct error *err);
/* Fills what Flink's configuration says, which @wire has, of a @spec that has all the
 * rest of it. */
int convert_flink(
	const Pyenvd__V1__CreateEnvironmentRequest *wire, struct spec *spec, struct error *err);
int convert_requirements(
	const Pyenvd__V1__Requirements *wire, struct spec_requirements *ret, struct error *err);
int convert_ttl(uint32_t seconds, struct error *err);
/* -EINVAL unless it could be an id. */
int convert_id(const char *id, const char *field, struct error *err);
/* -EINVAL unless it is a SHA-256 in hex. */
int convert_digest(const char *sha256, const char *field, struct error *err);
int convert_page(const Pyenvd__V1__ListRequest *wire, size_t *limit, struct error *err);

/* From core to the wire. Everything allocated hangs on @pool. */
struct convert_pool {
	void **blocks; /* owned */
	size_t count, allocated;
};

void convert_pool_deinit(struct convert_pool *pool);
void *convert_alloc(struct convert_pool *pool, size_t count, size_t size);
/* Takes @text. */
char *convert_keep(struct convert_pool *pool, char *text);

Pyenvd__V1__CreateEnvironmentResponse *convert_result(
	const struct spec *spec, const struct create_result *result, struct convert_pool *pool);
void convert_progress(const struct create_progress *progress, Pyenvd__V1__Progress *ret);
Pyenvd__V1__Phase convert_phase(enum job_phase phase);
Pyenvd__V1__Layer *convert_layer(
	const struct db_layer *layer, const struct manager *manager, struct convert_pool *pool);
void convert_artifact(const struct db_artifact *artifact, Pyenvd__V1__Artifact *ret);
Pyenvd__V1__Artifact **convert_artifacts(
	const struct db_artifact *rows, size_t count, struct convert_pool *pool);
Pyenvd__V1__Environment *convert_environment(
	const struct db_environment *environment, struct convert_pool *pool);
Pyenvd__V1__Lease *convert_lease(
	const struct db_lease *lease, struct manager *manager, struct convert_pool *pool);
/* Copies of ids; freed with the pool. */
char **convert_ids(const struct db_ids *ids, struct convert_pool *pool);
