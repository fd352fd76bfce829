/*
 * The service BeamFnExternalWorkerPool, which is Beam's: a runner asks it for the workers of
 * environments of the kind "beam:env:external:v1".
 *
 * A worker is told what it has to know as Beam's own start program (boot) tells it, by
 * variables. What fails is told by the field `error` and status OK: that is where runners look.
 */
#include <errno.h>
#include "beam_fn_api.pb-c.h"
#include "daemon/api/convert.h"
#include "daemon/api/services.h"
#include "proto/bundle.h"
#include "proto/create-request.h"

#define PARAM_PREFIX "pyenvd."
#define PARAM_SPEC "pyenvd.spec"
/* Without one in the spec. Not "python", as of Beam's own pool: that is there in virtualenvs,
 * and is not on every host. */
#define DEFAULT_PYTHON "python3"
#define MAX_ID 256
#define MAX_URL 4096
#define VARIABLES 4

typedef Org__Apache__Beam__Model__FnExecution__V1__StartWorkerRequest start_request;
typedef Org__Apache__Beam__Model__FnExecution__V1__StartWorkerResponse start_response;
typedef Org__Apache__Beam__Model__FnExecution__V1__StopWorkerRequest stop_request;
typedef Org__Apache__Beam__Model__FnExecution__V1__StopWorkerResponse stop_response;
typedef Org__Apache__Beam__Model__Pipeline__V1__ApiServiceDescriptor endpoint;

static char *words_of(const struct error *err)
{
	return err ? text_format("%s: %s", *err->reason ? err->reason : "INTERNAL_ERROR", err->text)
		   : text_copy("");
}

/* ---- StartWorker: what was asked for */

struct starting {
	struct rpc *rpc;
	struct spec spec;
	struct harness_start start;
	char *id; /* owned */
	struct spec_variable variables[VARIABLES]; /* owned values */
};

static void add_variable(struct starting *starting, const char *name, char *value)
{
	starting->variables[starting->start.variable_count++] = (struct spec_variable){
		(char *)name,
		value,
	};
}

/* A message of the type ApiServiceDescriptor as protobuf's text. */
static char *format_endpoint(const char *url)
{
	struct buffer text = { 0 };
	const char *c;

	buffer_append_text(&text, "url: \"");
	for (c = url; *c; c++) {
		if ((unsigned char)*c < ' ' || *c == 127)
			buffer_format(&text, "\\%03o", (unsigned)*c);
		else
			buffer_format(&text, "%s%c", *c == '"' || *c == '\\' ? "\\" : "", *c);
	}
	buffer_append_text(&text, "\"");
	return buffer_steal_text(&text);
}

static int take_endpoint(struct starting *starting, const endpoint *at, const char *field,
	const char *variable, struct error *err)
{
	int r;

	if (!at || !*at->url)
		return 0;
	if (at->authentication)
		return fail(err, -EOPNOTSUPP, "REQUEST_INVALID",
			"%s asks for authentication, which Python's workers do not know", field);
	r = spec_check_length(at->url, MAX_URL, field, err);
	if (r == 0)
		add_variable(starting, variable, format_endpoint(at->url));
	return r;
}

static int take_endpoints(struct starting *starting, const start_request *wire, struct error *err)
{
	if (!wire->control_endpoint || !*wire->control_endpoint->url)
		return fail(err, -EINVAL, "REQUEST_INVALID",
			"control_endpoint is empty: the worker would not know where to go");
	int r = take_endpoint(starting, wire->control_endpoint, "control_endpoint",
		"CONTROL_API_SERVICE_DESCRIPTOR", err);

	return r ? r
		 : take_endpoint(starting, wire->logging_endpoint, "logging_endpoint",
			   "LOGGING_API_SERVICE_DESCRIPTOR", err);
}

static int take_id(struct starting *starting, const char *id, struct error *err)
{
	int r;

	if (!*id)
		return fail(err, -EINVAL, "REQUEST_INVALID", "worker_id is empty");
	r = spec_check_length(id, MAX_ID, "worker_id", err);
	if (r)
		return r;
	starting->start.id = starting->id = text_copy(id);
	add_variable(starting, "WORKER_ID", text_copy(id));
	/* Those of the pipeline stay with the runner, as with Beam's own pool. */
	add_variable(starting, "PIPELINE_OPTIONS", text_copy("{}"));
	return 0;
}

static int parse_spec(const char *text, struct spec *ret, struct error *err)
{
	_cleanup_bundle_ struct bundle bundle = { 0 };
	_cleanup_(request_deinit) struct request request = { 0 };
	int r;

	r = bundle_parse(PARAM_SPEC, text, &bundle, err);
	if (r == 0)
		r = bundle_fill_request(&bundle, &request, err);
	if (r)
		return r;
	if (text_is_empty(request.message.python))
		request_set_python(&request, DEFAULT_PYTHON);
	return create_request_to_spec(&request.message, ret, err);
}

static int take_spec(struct starting *starting, const start_request *wire, struct error *err)
{
	const char *spec = NULL;
	size_t i;
	int r;

	for (i = 0; i < wire->n_params; i++) {
		const char *name = wire->params[i]->key;

		if (text_equal(name, PARAM_SPEC))
			spec = wire->params[i]->value;
		else if (text_starts_with(name, PARAM_PREFIX))
			return fail(err, -EINVAL, "REQUEST_INVALID",
				"params: '%s' is not known; there is '" PARAM_SPEC "'", name);
	}
	if (!spec)
		return fail(err, -EINVAL, "REQUEST_INVALID",
			"params: there is no '" PARAM_SPEC "', which names the environment");
	if (*spec == '/')
		return fail(err, -EOPNOTSUPP, "REQUEST_INVALID",
			"params: '" PARAM_SPEC "' is the name of a file: the daemon reads no "
			"bundles; say what is in it");
	r = parse_spec(spec, &starting->spec, err);
	if (r)
		error_prefix(err, "params: '" PARAM_SPEC "'");
	return r;
}

/* ---- StartWorker */

static void reply_start(struct rpc *rpc, const struct error *err)
{
	start_response response =
		ORG__APACHE__BEAM__MODEL__FN_EXECUTION__V1__START_WORKER_RESPONSE__INIT;
	_cleanup_free_ char *words = words_of(err);

	response.error = words;
	rpc_reply(rpc, &response.base);
}

static void on_started(struct harness_start *start, const struct error *err)
{
	reply_start(container_of(start, struct starting, start)->rpc, err);
}

static void starting_expired(struct rpc *rpc)
{
	struct starting *starting = rpc->state;

	harness_leave(&starting->start, false);
}

static void starting_closed(struct rpc *rpc, bool delivered)
{
	struct starting *starting = rpc->state;
	size_t i;

	harness_leave(&starting->start, delivered);
	for (i = 0; i < starting->start.variable_count; i++)
		free(starting->variables[i].value);
	free(starting->id);
	spec_deinit(&starting->spec);
	free(starting);
}

static void start_worker(struct rpc *rpc, const ProtobufCMessage *message)
{
	const start_request *wire = (const void *)message;
	struct starting *starting = new0(struct starting);
	struct error err = { 0 };
	int r;

	starting->rpc = rpc;
	starting->start.spec = &starting->spec;
	starting->start.peer = rpc->peer;
	starting->start.variables = starting->variables;
	starting->start.done = on_started;
	rpc->state = starting;
	rpc->expired = starting_expired;
	rpc->closed = starting_closed;
	r = take_id(starting, wire->worker_id, &err);
	if (r == 0)
		r = take_endpoints(starting, wire, &err);
	if (r == 0)
		r = take_spec(starting, wire, &err);
	if (r == 0)
		r = manager_start_harness(rpc->api->manager, &starting->start, &err);
	if (r)
		reply_start(rpc, &err);
}

/* ---- StopWorker */

struct stopping {
	struct rpc *rpc;
	struct harness_stop stop;
};

static void reply_stop(struct rpc *rpc, const struct error *err)
{
	stop_response response =
		ORG__APACHE__BEAM__MODEL__FN_EXECUTION__V1__STOP_WORKER_RESPONSE__INIT;
	_cleanup_free_ char *words = words_of(err);

	response.error = words;
	rpc_reply(rpc, &response.base);
}

static void on_stopped(struct harness_stop *stop, const struct error *err)
{
	reply_stop(container_of(stop, struct stopping, stop)->rpc, err);
}

static void stopping_expired(struct rpc *rpc)
{
	struct stopping *stopping = rpc->state;

	harness_stop_leave(&stopping->stop);
}

static void stopping_closed(struct rpc *rpc, bool delivered)
{
	struct stopping *stopping = rpc->state;

	harness_stop_leave(&stopping->stop);
	free(stopping);
}

static void stop_worker(struct rpc *rpc, const ProtobufCMessage *message)
{
	const stop_request *wire = (const void *)message;
	struct stopping *stopping = new0(struct stopping);

	stopping->rpc = rpc;
	stopping->stop.done = on_stopped;
	rpc->state = stopping;
	rpc->expired = stopping_expired;
	rpc->closed = stopping_closed;
	if (!manager_stop_harness(rpc->api->manager, rpc->peer, wire->worker_id, &stopping->stop))
		reply_stop(rpc, NULL);
}

static const struct rpc_method methods[] = {
	{
		.path = "/org.apache.beam.model.fn_execution.v1.BeamFnExternalWorkerPool/"
			"StartWorker",
		.request =
			&org__apache__beam__model__fn_execution__v1__start_worker_request__descriptor,
		.handle = start_worker,
	},
	{
		.path = "/org.apache.beam.model.fn_execution.v1.BeamFnExternalWorkerPool/"
			"StopWorker",
		.request =
			&org__apache__beam__model__fn_execution__v1__stop_worker_request__descriptor,
		.handle = stop_worker,
	},
};

const struct rpc_service beam_pool_service = {
	.name = "org.apache.beam.model.fn_execution.v1.BeamFnExternalWorkerPool",
	.methods = methods,
	.method_count = ARRAY_SIZE(methods),
};
