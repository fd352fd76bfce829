#pragma once
/* The gRPC services: a static table of methods each. */
#include "daemon/api/rpc.h"

extern const struct rpc_service environments_service;
extern const struct rpc_service admin_service;
extern const struct rpc_service beam_pool_service;
extern const struct rpc_service health_service;
extern const struct rpc_service reflection_service;
extern const struct rpc_service reflection_alpha_service;

/* Each of them; NULL-terminated. */
extern const struct rpc_service *const services_all[];

/* Methods of Environments (artifacts.c). */
void artifacts_handle_upload(struct rpc *rpc, const ProtobufCMessage *message);
void artifacts_handle_upload_end(struct rpc *rpc);
void artifacts_handle_find(struct rpc *rpc, const ProtobufCMessage *message);

/* The same (explanations.c). */
void explanations_handle(struct rpc *rpc, const ProtobufCMessage *message);

/* The daemon stops: every HoldLease stream ends, its lease waits (environments.c). */
void environments_end_holds(struct api *api);
