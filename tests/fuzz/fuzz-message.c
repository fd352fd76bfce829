/*
 * Bytes as messages of the API: whatever unpacks must be text where the API says
 * text, and pack to something that unpacks again. And as the details of a status.
 */
#include <stdint.h>
#include <string.h>
#include "base/utf8.h"
#include "base/util.h"
#include "proto/grpc-status.h"
#include "proto/message.h"
#include "pyenvd.pb-c.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void expect_text(const char *text)
{
	if (!utf8_is_valid(text, strlen(text)))
		abort();
}

static void check_again(
	const ProtobufCMessageDescriptor *descriptor, const uint8_t *data, size_t size)
{
	_cleanup_message_ ProtobufCMessage *message = NULL, *again = NULL;
	_cleanup_buffer_ struct buffer packed = { 0 };

	if (message_unpack(descriptor, data, size, &message, NULL))
		return;
	message_pack(message, &packed);
	if (message_unpack(descriptor, packed.data, packed.size, &again, NULL))
		abort();
}

static void check_texts(const uint8_t *data, size_t size)
{
	_cleanup_message_ Pyenvd__V1__CreateEnvironmentRequest *request = NULL;
	size_t i;

	if (message_unpack(&pyenvd__v1__create_environment_request__descriptor, data, size,
		    (ProtobufCMessage **)&request, NULL))
		return;
	expect_text(request->label);
	for (i = 0; i < request->n_archives; i++)
		expect_text(request->archives[i]->path);
	for (i = 0; i < request->n_variables; i++)
		expect_text(request->variables[i]->value);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_(grpc_result_deinit) struct grpc_result result = { 0 };
	_cleanup_free_ char *words = NULL;
	uint64_t us;

	check_again(&pyenvd__v1__create_environment_request__descriptor, data, size);
	check_again(&pyenvd__v1__create_environment_event__descriptor, data, size);
	check_again(&pyenvd__v1__show_response__descriptor, data, size);
	check_texts(data, size);
	grpc_details_decode((const char *)data, size, &result);
	grpc_timeout_parse((const char *)data, size, &us);
	words = grpc_message_decode((const char *)data, size);
	expect_text(words);
	return 0;
}
