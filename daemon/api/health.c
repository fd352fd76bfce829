/* The service grpc.health.v1.Health. */
#include "daemon/api/services.h"
#include "health.pb-c.h"

#include <errno.h>

static bool is_known(const char *name)
{
	const struct rpc_service *const *service;

	for (service = services_all; *service; service++)
		if (text_equal((*service)->name, name))
			return true;
	return !*name;
}

static void check(struct rpc *rpc, const ProtobufCMessage *message)
{
	const Grpc__Health__V1__HealthCheckRequest *request = (const void *)message;
	Grpc__Health__V1__HealthCheckResponse response =
		GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__INIT;
	struct error err;

	if (!is_known(request->service)) {
		fail(&err, -ENOENT, "NOT_FOUND", "there is no service '%s' here", request->service);
		rpc_fail(rpc, &err);
		return;
	}
	response.status = rpc->api->is_draining
		? GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__NOT_SERVING
		: GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__SERVING;
	rpc_reply(rpc, &response.base);
}

static const struct rpc_method methods[] = {
	{
		.path = "/grpc.health.v1.Health/Check",
		.request = &grpc__health__v1__health_check_request__descriptor,
		.handle = check,
	},
};

const struct rpc_service health_service = {
	.name = "grpc.health.v1.Health",
	.methods = methods,
	.method_count = ARRAY_SIZE(methods),
};
