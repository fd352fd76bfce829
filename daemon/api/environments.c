/*
 * The service Environments.
 *
 * A create keeps its state until the answer is delivered or cannot be: that is when
 * the lease either counts, or is taken back.
 */
#include <errno.h>
#include <stdio.h>
#include "daemon/api/convert.h"
#include "daemon/api/services.h"
#include "proto/create-request.h"

/* ---- CreateEnvironment, with and without progress */

struct creating {
	struct rpc *rpc;
	struct spec spec;
	struct create create;
	bool is_stream;
	char lease_id[LEASE_ID_LENGTH + 1]; /* once the answer is under way */
};

static struct creating *creating_of(struct create *create)
{
	return container_of(create, struct creating, create);
}

static void answer(struct creating *creating)
{
	_cleanup_(convert_pool_deinit) struct convert_pool pool = { 0 };
	struct create_result *result = &creating->create.result;
	Pyenvd__V1__CreateEnvironmentEvent event = PYENVD__V1__CREATE_ENVIRONMENT_EVENT__INIT;
	Pyenvd__V1__CreateEnvironmentResponse *response = convert_result(
		&creating->spec, result, &pool);

	snprintf(creating->lease_id, sizeof(creating->lease_id), "%s", result->lease_id);
	event.event_case = PYENVD__V1__CREATE_ENVIRONMENT_EVENT__EVENT_RESULT;
	event.result = response;
	rpc_reply(creating->rpc, creating->is_stream ? &event.base : &response->base);
}

static void on_done(struct create *create, const struct error *err)
{
	struct creating *creating = creating_of(create);

	if (err)
		rpc_fail_about(creating->rpc, err, create->blamed);
	else
		answer(creating);
}

static void on_progress(struct create *create, const struct create_progress *progress)
{
	Pyenvd__V1__CreateEnvironmentEvent event = PYENVD__V1__CREATE_ENVIRONMENT_EVENT__INIT;
	Pyenvd__V1__Progress wire;

	convert_progress(progress, &wire);
	event.event_case = PYENVD__V1__CREATE_ENVIRONMENT_EVENT__EVENT_PROGRESS;
	event.progress = &wire;
	rpc_send(creating_of(create)->rpc, &event.base);
}

static void creating_expired(struct rpc *rpc)
{
	struct creating *creating = rpc->state;

	create_abandon(&creating->create);
}

static void creating_closed(struct rpc *rpc, bool delivered)
{
	struct creating *creating = rpc->state;

	create_abandon(&creating->create);
	if (*creating->lease_id)
		manager_end_delivery(rpc->api->manager, creating->lease_id, delivered);
	spec_deinit(&creating->spec);
	free(creating);
}

static void create(struct rpc *rpc, const ProtobufCMessage *request, bool is_stream)
{
	struct creating *creating = new0(struct creating);
	struct error err = { 0 };
	int r;

	creating->rpc = rpc;
	creating->is_stream = is_stream;
	rpc->state = creating;
	rpc->expired = creating_expired;
	rpc->closed = creating_closed;
	r = create_request_to_spec(
		(const Pyenvd__V1__CreateEnvironmentRequest *)request, &creating->spec, &err);
	if (r == 0) {
		creating->create.spec = &creating->spec;
		creating->create.peer = rpc->peer;
		creating->create.done = on_done;
		creating->create.progress = is_stream ? on_progress : NULL;
		r = manager_create(rpc->api->manager, &creating->create, &err);
	}
	if (r == 0)
		answer(creating);
	else if (r != CREATE_E_LATER)
		rpc_fail_about(rpc, &err, creating->create.blamed);
}

static void create_unary(struct rpc *rpc, const ProtobufCMessage *request)
{
	create(rpc, request, false);
}

static void create_stream(struct rpc *rpc, const ProtobufCMessage *request)
{
	create(rpc, request, true);
}

/* ---- CreateRetrievalToken, ReleaseEnvironment, RenewLease */

static void create_retrieval_token(struct rpc *rpc, const ProtobufCMessage *message)
{
	const Pyenvd__V1__CreateRetrievalTokenRequest *request = (const void *)message;
	Pyenvd__V1__CreateRetrievalTokenResponse response =
		PYENVD__V1__CREATE_RETRIEVAL_TOKEN_RESPONSE__INIT;
	_cleanup_free_ char *token = NULL;
	struct error err = { 0 };
	int r;

	r = convert_id(request->lease_id, "lease_id", &err);
	if (r == 0)
		r = manager_create_token(
			rpc->api->manager, rpc->peer, request->lease_id, &token, &err);
	if (r) {
		rpc_fail(rpc, &err);
		return;
	}
	response.retrieval_token = token;
	rpc_reply(rpc, &response.base);
}

static void release_environment(struct rpc *rpc, const ProtobufCMessage *message)
{
	const Pyenvd__V1__ReleaseEnvironmentRequest *request = (const void *)message;
	Pyenvd__V1__ReleaseEnvironmentResponse response =
		PYENVD__V1__RELEASE_ENVIRONMENT_RESPONSE__INIT;
	struct error err = { 0 };
	bool released;
	int r;

	r = convert_id(request->lease_id, "lease_id", &err);
	if (r == 0)
		r = manager_release(
			rpc->api->manager, rpc->peer, request->lease_id, &released, &err);
	if (r) {
		rpc_fail(rpc, &err);
		return;
	}
	response.released = released;
	rpc_reply(rpc, &response.base);
}

static void renew_lease(struct rpc *rpc, const ProtobufCMessage *message)
{
	const Pyenvd__V1__RenewLeaseRequest *request = (const void *)message;
	Pyenvd__V1__RenewLeaseResponse response = PYENVD__V1__RENEW_LEASE_RESPONSE__INIT;
	struct error err = { 0 };
	int r;

	r = convert_id(request->lease_id, "lease_id", &err);
	if (r == 0)
		r = spec_check_ttl(request->seconds, &err);
	if (r == 0)
		r = manager_renew(rpc->api->manager, rpc->peer, request->lease_id, request->seconds,
			&response.expires_unix_ms, &err);
	if (r)
		rpc_fail(rpc, &err);
	else
		rpc_reply(rpc, &response.base);
}

/* ---- HoldLease */

struct holding {
	struct list link; /* api.holds */
	struct rpc *rpc;
	struct lease_hold hold;
};

static void on_hold_ended(struct lease_hold *hold)
{
	struct holding *holding = container_of(hold, struct holding, hold);
	struct error err;

	fail(&err, -EAGAIN, "LEASE_RELEASED", "the lease was released by somebody else");
	rpc_fail(holding->rpc, &err);
}

static void holding_expired(struct rpc *rpc)
{
	struct holding *holding = rpc->state;

	lease_hold_end(&holding->hold, false);
}

static void holding_closed(struct rpc *rpc, bool delivered)
{
	struct holding *holding = rpc->state;

	lease_hold_end(&holding->hold, rpc->api->is_draining);
	list_remove(&holding->link);
	free(holding);
}

static void hold_lease(struct rpc *rpc, const ProtobufCMessage *message)
{
	const Pyenvd__V1__HoldLeaseRequest *request = (const void *)message;
	Pyenvd__V1__HoldLeaseEvent event = PYENVD__V1__HOLD_LEASE_EVENT__INIT;
	struct holding *holding = new0(struct holding);
	struct error err = { 0 };
	int r;

	holding->rpc = rpc;
	holding->hold.ended = on_hold_ended;
	list_add(&rpc->api->holds, &holding->link);
	rpc->state = holding;
	rpc->expired = holding_expired;
	rpc->closed = holding_closed;
	r = convert_id(request->lease_id, "lease_id", &err);
	if (r == 0)
		r = manager_hold(
			rpc->api->manager, rpc->peer, request->lease_id, &holding->hold, &err);
	if (r) {
		rpc_fail(rpc, &err);
		return;
	}
	event.lease_id = request->lease_id;
	rpc_send(rpc, &event.base);
}

void environments_end_holds(struct api *api)
{
	struct error err;
	struct list *link;

	fail(&err, -ESHUTDOWN, "DRAINING", "the daemon is stopping");
	while ((link = list_pop(&api->holds))) {
		struct holding *holding = container_of(link, struct holding, link);

		lease_hold_end(&holding->hold, true);
		rpc_fail(holding->rpc, &err);
	}
}

static const struct rpc_method methods[] = {
	{
		.path = "/pyenvd.v1.Environments/CreateEnvironment",
		.request = &pyenvd__v1__create_environment_request__descriptor,
		.handle = create_unary,
	},
	{
		.path = "/pyenvd.v1.Environments/CreateEnvironmentWithProgress",
		.request = &pyenvd__v1__create_environment_request__descriptor,
		.handle = create_stream,
	},
	{
		.path = "/pyenvd.v1.Environments/ExplainEnvironment",
		.request = &pyenvd__v1__explain_environment_request__descriptor,
		.handle = explanations_handle,
	},
	{
		.path = "/pyenvd.v1.Environments/CreateRetrievalToken",
		.request = &pyenvd__v1__create_retrieval_token_request__descriptor,
		.handle = create_retrieval_token,
	},
	{
		.path = "/pyenvd.v1.Environments/ReleaseEnvironment",
		.request = &pyenvd__v1__release_environment_request__descriptor,
		.handle = release_environment,
	},
	{
		.path = "/pyenvd.v1.Environments/RenewLease",
		.request = &pyenvd__v1__renew_lease_request__descriptor,
		.handle = renew_lease,
	},
	{
		.path = "/pyenvd.v1.Environments/HoldLease",
		.request = &pyenvd__v1__hold_lease_request__descriptor,
		.handle = hold_lease,
	},
	{
		.path = "/pyenvd.v1.Environments/UploadArtifact",
		.request = &pyenvd__v1__upload_artifact_request__descriptor,
		.is_stream = true,
		.handle = artifacts_handle_upload,
		.half_close = artifacts_handle_upload_end,
	},
	{
		.path = "/pyenvd.v1.Environments/FindArtifact",
		.request = &pyenvd__v1__find_artifact_request__descriptor,
		.handle = artifacts_handle_find,
	},
};

const struct rpc_service environments_service = {
	.name = "pyenvd.v1.Environments",
	.methods = methods,
	.method_count = ARRAY_SIZE(methods),
};
