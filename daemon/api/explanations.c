/* Environments.ExplainEnvironment. */
#include <errno.h>
#include "daemon/api/convert.h"
#include "daemon/api/services.h"
#include "proto/create-request.h"

struct explaining {
	struct rpc *rpc;
	struct spec spec;
	struct explain explain;
};

static Pyenvd__V1__Difference **from_differences(
	const struct differences *differences, struct convert_pool *pool)
{
	Pyenvd__V1__Difference *wire = convert_alloc(pool, differences->count, sizeof(*wire));
	Pyenvd__V1__Difference **list = convert_alloc(pool, differences->count, sizeof(*list));
	size_t i;

	for (i = 0; i < differences->count; i++) {
		pyenvd__v1__difference__init(&wire[i]);
		wire[i].kind = differences->rows[i].kind;
		wire[i].name = differences->rows[i].name;
		wire[i].here = differences->rows[i].here;
		wire[i].there = differences->rows[i].there;
		wire[i].text = differences->rows[i].text;
		list[i] = &wire[i];
	}
	return list;
}

static void answer(struct explaining *explaining)
{
	const struct explain_result *result = &explaining->explain.result;
	Pyenvd__V1__ExplainEnvironmentResponse response =
		PYENVD__V1__EXPLAIN_ENVIRONMENT_RESPONSE__INIT;
	_cleanup_(convert_pool_deinit) struct convert_pool pool = { 0 };

	response.dependency_hash = (char *)result->hash;
	response.known = result->is_known;
	response.ready = result->is_ready;
	response.missing = (char **)result->missing;
	response.n_missing = result->missing_count;
	response.components = convert_components(&result->components, &pool);
	response.n_components = result->components.count;
	if (result->has_nearest)
		response.nearest = convert_environment(&result->nearest, &pool);
	response.nearest_equal = (uint32_t)result->nearest_equal;
	response.differences = from_differences(&result->differences, &pool);
	response.n_differences = result->differences.count;
	rpc_reply(explaining->rpc, &response.base);
}

static void on_done(struct explain *explain, const struct error *err)
{
	struct explaining *explaining = container_of(explain, struct explaining, explain);

	if (err)
		rpc_fail_about(explaining->rpc, err, explain->blamed);
	else
		answer(explaining);
}

static void explaining_expired(struct rpc *rpc)
{
	struct explaining *explaining = rpc->state;

	explain_abandon(&explaining->explain);
}

static void explaining_closed(struct rpc *rpc, bool delivered)
{
	struct explaining *explaining = rpc->state;

	explain_abandon(&explaining->explain);
	spec_deinit(&explaining->spec);
	free(explaining);
}

static int begin(struct explaining *explaining,
	const Pyenvd__V1__ExplainEnvironmentRequest *request, struct error *err)
{
	struct explain *explain = &explaining->explain;
	int r;

	if (!request->request)
		return fail(err, -EINVAL, "REQUEST_INVALID",
			"request is missing: there is nothing to explain");
	r = create_request_to_spec(request->request, &explaining->spec, err);
	if (r)
		return r;
	explain->spec = &explaining->spec;
	explain->peer = explaining->rpc->peer;
	explain->done = on_done;
	return manager_explain(explaining->rpc->api->manager, explain, err);
}

void explanations_handle(struct rpc *rpc, const ProtobufCMessage *message)
{
	struct explaining *explaining = new0(struct explaining);
	struct error err = { 0 };
	int r;

	explaining->rpc = rpc;
	rpc->state = explaining;
	rpc->expired = explaining_expired;
	rpc->closed = explaining_closed;
	r = begin(explaining, (const void *)message, &err);
	if (r == 0)
		answer(explaining);
	else if (r != EXPLAIN_E_LATER)
		rpc_fail_about(rpc, &err, explaining->explain.blamed);
}
