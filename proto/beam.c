#include "proto/beam.h"

#include "base/util.h"
#include "beam_runner_api.pb-c.h"
#include "proto/message.h"

/* beam_urn of StandardEnvironments in Beam's beam_runner_api.proto. */
#define URN_PROCESS "beam:env:process:v1"
#define URN_DOCKER "beam:env:docker:v1"

#define BEAM(type) Org__Apache__Beam__Model__Pipeline__V1__##type

static void pack(const char *urn, const ProtobufCMessage *payload, struct buffer *ret)
{
	BEAM(Environment) environment = ORG__APACHE__BEAM__MODEL__PIPELINE__V1__ENVIRONMENT__INIT;
	_cleanup_buffer_ struct buffer bytes = { 0 };

	message_pack(payload, &bytes);
	environment.urn = (char *)urn;
	environment.has_payload = true;
	environment.payload = (ProtobufCBinaryData){ .data = bytes.data, .len = bytes.size };
	message_pack(&environment.base, ret);
}

void beam_process_environment(const char *command, const struct beam_variable *variables,
	size_t count, struct buffer *ret)
{
	BEAM(ProcessPayload) payload;
	_cleanup_free_ BEAM(ProcessPayload__EnvEntry) *rows = NULL;
	_cleanup_free_ BEAM(ProcessPayload__EnvEntry) **env = NULL;
	size_t i;

	rows = new0_array(BEAM(ProcessPayload__EnvEntry), count);
	env = new0_array(BEAM(ProcessPayload__EnvEntry) *, count);
	for (i = 0; i < count; i++) {
		env[i] = &rows[i];
		org__apache__beam__model__pipeline__v1__process_payload__env_entry__init(&rows[i]);
		rows[i].key = (char *)variables[i].name;
		rows[i].value = (char *)variables[i].value;
	}
	org__apache__beam__model__pipeline__v1__process_payload__init(&payload);
	payload.command = (char *)command;
	payload.env = env;
	payload.n_env = count;
	pack(URN_PROCESS, &payload.base, ret);
}

void beam_docker_environment(const char *image, struct buffer *ret)
{
	BEAM(DockerPayload) payload = ORG__APACHE__BEAM__MODEL__PIPELINE__V1__DOCKER_PAYLOAD__INIT;

	payload.container_image = (char *)image;
	pack(URN_DOCKER, &payload.base, ret);
}
