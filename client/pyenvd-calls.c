/* The calls with their types, over the one that takes any. */
#include "client/pyenvd.h"

#include "base/util.h"

enum pyenvd_code pyenvd_create_retrieval_token(
	struct pyenvd *client, const char *lease_id, char **ret, struct pyenvd_error *error)
{
	Pyenvd__V1__CreateRetrievalTokenRequest request =
		PYENVD__V1__CREATE_RETRIEVAL_TOKEN_REQUEST__INIT;
	Pyenvd__V1__CreateRetrievalTokenResponse *response;
	ProtobufCMessage *answer;
	enum pyenvd_code code;

	request.lease_id = (char *)lease_id;
	code = pyenvd_call(client, "CreateRetrievalToken", &request.base, &answer, error);
	if (code)
		return code;
	response = container_of(answer, Pyenvd__V1__CreateRetrievalTokenResponse, base);
	*ret = text_copy(response->retrieval_token);
	pyenvd_message_free(response);
	return PYENVD_OK;
}

enum pyenvd_code pyenvd_release_environment(
	struct pyenvd *client, const char *lease_id, bool *ret, struct pyenvd_error *error)
{
	Pyenvd__V1__ReleaseEnvironmentRequest request =
		PYENVD__V1__RELEASE_ENVIRONMENT_REQUEST__INIT;
	Pyenvd__V1__ReleaseEnvironmentResponse *response;
	ProtobufCMessage *answer;
	enum pyenvd_code code;

	request.lease_id = (char *)lease_id;
	code = pyenvd_call(client, "ReleaseEnvironment", &request.base, &answer, error);
	if (code)
		return code;
	response = container_of(answer, Pyenvd__V1__ReleaseEnvironmentResponse, base);
	*ret = response->released;
	pyenvd_message_free(response);
	return PYENVD_OK;
}

enum pyenvd_code pyenvd_renew_lease(struct pyenvd *client, const char *lease_id, uint32_t seconds,
	int64_t *ret, struct pyenvd_error *error)
{
	Pyenvd__V1__RenewLeaseRequest request = PYENVD__V1__RENEW_LEASE_REQUEST__INIT;
	Pyenvd__V1__RenewLeaseResponse *response;
	ProtobufCMessage *answer;
	enum pyenvd_code code;

	request.lease_id = (char *)lease_id;
	request.seconds = seconds;
	code = pyenvd_call(client, "RenewLease", &request.base, &answer, error);
	if (code)
		return code;
	response = container_of(answer, Pyenvd__V1__RenewLeaseResponse, base);
	*ret = response->expires_unix_ms;
	pyenvd_message_free(response);
	return PYENVD_OK;
}

enum pyenvd_code pyenvd_hold_lease(struct pyenvd *client, const char *lease_id,
	const struct pyenvd_listener *listener, struct pyenvd_error *error)
{
	Pyenvd__V1__HoldLeaseRequest request = PYENVD__V1__HOLD_LEASE_REQUEST__INIT;

	request.lease_id = (char *)lease_id;
	return pyenvd_call_stream(client, "HoldLease", &request.base, listener, error);
}

/* A create that is watched. */
struct watched {
	const struct pyenvd_watcher *watcher;
	Pyenvd__V1__CreateEnvironmentResponse *result; /* owned */
};

static bool on_event(const ProtobufCMessage *message, void *data)
{
	Pyenvd__V1__CreateEnvironmentEvent *event = container_of(
		message, Pyenvd__V1__CreateEnvironmentEvent, base);
	struct watched *watched = data;

	if (event->event_case == PYENVD__V1__CREATE_ENVIRONMENT_EVENT__EVENT_PROGRESS)
		watched->watcher->on_progress(event->progress, watched->watcher->data);
	if (event->event_case != PYENVD__V1__CREATE_ENVIRONMENT_EVENT__EVENT_RESULT)
		return true;
	/* The rest of the event is freed without it. */
	pyenvd_message_free(watched->result);
	watched->result = STEAL(event->result);
	event->event_case = PYENVD__V1__CREATE_ENVIRONMENT_EVENT__EVENT__NOT_SET;
	return true;
}

enum pyenvd_code pyenvd_create_environment(struct pyenvd *client,
	const Pyenvd__V1__CreateEnvironmentRequest *request, const struct pyenvd_watcher *watcher,
	Pyenvd__V1__CreateEnvironmentResponse **ret, struct pyenvd_error *error)
{
	struct watched watched = { .watcher = watcher };
	struct pyenvd_listener listener = { .on_message = on_event, .data = &watched };
	ProtobufCMessage *answer;
	enum pyenvd_code code;

	if (!watcher) {
		code = pyenvd_call(client, "CreateEnvironment", &request->base, &answer, error);
		if (code == PYENVD_OK)
			*ret = (Pyenvd__V1__CreateEnvironmentResponse *)(void *)answer;
		return code;
	}
	code = pyenvd_call_stream(
		client, "CreateEnvironmentWithProgress", &request->base, &listener, error);
	if (code == PYENVD_OK && watched.result) {
		*ret = watched.result;
		return PYENVD_OK;
	}
	pyenvd_message_free(watched.result);
	if (code)
		return code;
	if (error)
		*error = (struct pyenvd_error){ .code = PYENVD_INTERNAL,
			.is_local = true,
			.message = "the daemon ended the call without a result" };
	return PYENVD_INTERNAL;
}

/* A call of one request and one answer. */
#define DEFINE_CALL(function, method, request_type, response_type)                                 \
	enum pyenvd_code function(struct pyenvd *client, const request_type *request,              \
		response_type **ret, struct pyenvd_error *error)                                   \
	{                                                                                          \
		ProtobufCMessage *answer;                                                          \
		enum pyenvd_code code;                                                             \
                                                                                                   \
		code = pyenvd_call(client, method, &request->base, &answer, error);                \
		if (code == PYENVD_OK)                                                             \
			*ret = (response_type *)(void *)answer;                                    \
		return code;                                                                       \
	}                                                                                          \
	struct semicolon_wanted

DEFINE_CALL(pyenvd_list_environments, "ListEnvironments", Pyenvd__V1__ListRequest,
	Pyenvd__V1__ListEnvironmentsResponse);
DEFINE_CALL(
	pyenvd_list_layers, "ListLayers", Pyenvd__V1__ListRequest, Pyenvd__V1__ListLayersResponse);
DEFINE_CALL(
	pyenvd_list_leases, "ListLeases", Pyenvd__V1__ListRequest, Pyenvd__V1__ListLeasesResponse);
DEFINE_CALL(pyenvd_list_creations, "ListCreations", Pyenvd__V1__ListRequest,
	Pyenvd__V1__ListCreationsResponse);
DEFINE_CALL(pyenvd_list_artifacts, "ListArtifacts", Pyenvd__V1__ListRequest,
	Pyenvd__V1__ListArtifactsResponse);
DEFINE_CALL(pyenvd_collect, "Collect", Pyenvd__V1__CollectRequest, Pyenvd__V1__CollectResponse);

enum pyenvd_code pyenvd_explain_environment(struct pyenvd *client,
	const Pyenvd__V1__CreateEnvironmentRequest *request,
	Pyenvd__V1__ExplainEnvironmentResponse **ret, struct pyenvd_error *error)
{
	Pyenvd__V1__ExplainEnvironmentRequest outer = PYENVD__V1__EXPLAIN_ENVIRONMENT_REQUEST__INIT;
	ProtobufCMessage *answer;
	enum pyenvd_code code;

	outer.request = (Pyenvd__V1__CreateEnvironmentRequest *)request;
	code = pyenvd_call(client, "ExplainEnvironment", &outer.base, &answer, error);
	if (code == PYENVD_OK)
		*ret = (Pyenvd__V1__ExplainEnvironmentResponse *)(void *)answer;
	return code;
}

enum pyenvd_code pyenvd_find_artifact(struct pyenvd *client, const char *sha256,
	Pyenvd__V1__FindArtifactResponse **ret, struct pyenvd_error *error)
{
	Pyenvd__V1__FindArtifactRequest request = PYENVD__V1__FIND_ARTIFACT_REQUEST__INIT;
	ProtobufCMessage *answer;
	enum pyenvd_code code;

	request.sha256 = (char *)sha256;
	code = pyenvd_call(client, "FindArtifact", &request.base, &answer, error);
	if (code == PYENVD_OK)
		*ret = (Pyenvd__V1__FindArtifactResponse *)(void *)answer;
	return code;
}

enum pyenvd_code pyenvd_get_status(
	struct pyenvd *client, Pyenvd__V1__GetStatusResponse **ret, struct pyenvd_error *error)
{
	Pyenvd__V1__GetStatusRequest request = PYENVD__V1__GET_STATUS_REQUEST__INIT;
	ProtobufCMessage *answer;
	enum pyenvd_code code;

	code = pyenvd_call(client, "GetStatus", &request.base, &answer, error);
	if (code == PYENVD_OK)
		*ret = (Pyenvd__V1__GetStatusResponse *)(void *)answer;
	return code;
}

enum pyenvd_code pyenvd_show(struct pyenvd *client, const char *id, Pyenvd__V1__ShowResponse **ret,
	struct pyenvd_error *error)
{
	Pyenvd__V1__ShowRequest request = PYENVD__V1__SHOW_REQUEST__INIT;
	ProtobufCMessage *answer;
	enum pyenvd_code code;

	request.id = (char *)id;
	code = pyenvd_call(client, "Show", &request.base, &answer, error);
	if (code == PYENVD_OK)
		*ret = (Pyenvd__V1__ShowResponse *)(void *)answer;
	return code;
}
