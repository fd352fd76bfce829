#include <criterion/criterion.h>
#include <pyenvd.pb-c.h>
#include "base/util.h"
#include "client/json-output.h"

/* In one line, in the order of the .proto. */
static void expect(const ProtobufCMessage *message, const char *wanted)
{
	json_t *value = json_output_message(message);
	char *text = json_dumps(value, JSON_COMPACT);

	cr_expect_str_eq(text, wanted);
	free(text);
	json_decref(value);
}

Test(json_output, every_field_is_there)
{
	Pyenvd__V1__PreparedLayer layer = PYENVD__V1__PREPARED_LAYER__INIT;
	Pyenvd__V1__CreateEnvironmentResponse response =
		PYENVD__V1__CREATE_ENVIRONMENT_RESPONSE__INIT;

	expect(&layer.base,
		"{\"layer_id\":\"\",\"source\":\"\",\"origin\":\"LAYER_ORIGIN_UNSPECIFIED\","
		"\"directory\":\"\",\"size_bytes\":0}");
	expect(&response.base,
		"{\"lease_id\":\"\",\"dependency_hash\":\"\",\"hit\":false,\"layers\":[],"
		"\"base_directory\":\"\",\"working_directory\":\"\",\"interpreter\":\"\","
		"\"variables\":{},\"timings\":null,\"expires_unix_ms\":0,"
		"\"beam_environment\":\"\"}");
}

Test(json_output, numbers_are_numbers_and_texts_are_escaped)
{
	Pyenvd__V1__PreparedLayer layer = PYENVD__V1__PREPARED_LAYER__INIT;

	layer.layer_id = (char *)"a\"b\n\303\244";
	layer.origin = PYENVD__V1__LAYER_ORIGIN__LAYER_ORIGIN_JOINED;
	layer.size_bytes = UINT64_C(9007199254740993);
	expect(&layer.base,
		"{\"layer_id\":\"a\\\"b\\n\303\244\",\"source\":\"\","
		"\"origin\":\"LAYER_ORIGIN_JOINED\",\"directory\":\"\","
		"\"size_bytes\":9007199254740993}");
}

Test(json_output, an_unknown_enum_stays_a_number)
{
	Pyenvd__V1__PreparedLayer layer = PYENVD__V1__PREPARED_LAYER__INIT;

	layer.origin = (Pyenvd__V1__LayerOrigin)77;
	expect(&layer.base,
		"{\"layer_id\":\"\",\"source\":\"\",\"origin\":77,\"directory\":\"\","
		"\"size_bytes\":0}");
}

Test(json_output, the_largest_number_is_not_negative)
{
	Pyenvd__V1__PreparedLayer layer = PYENVD__V1__PREPARED_LAYER__INIT;
	json_t *value;

	layer.size_bytes = UINT64_MAX;
	value = json_output_message(&layer.base);
	cr_expect_gt(json_number_value(json_object_get(value, "size_bytes")), 1e19);
	json_decref(value);
}

Test(json_output, a_map_is_an_object)
{
	Pyenvd__V1__CreateEnvironmentResponse response =
		PYENVD__V1__CREATE_ENVIRONMENT_RESPONSE__INIT;
	Pyenvd__V1__CreateEnvironmentResponse__VariablesEntry a =
		PYENVD__V1__CREATE_ENVIRONMENT_RESPONSE__VARIABLES_ENTRY__INIT;
	Pyenvd__V1__CreateEnvironmentResponse__VariablesEntry b = a;
	Pyenvd__V1__CreateEnvironmentResponse__VariablesEntry *both[] = { &a, &b };
	json_t *value, *variables;

	a.key = (char *)"PATH";
	a.value = (char *)"/bin";
	response.variables = both;
	response.n_variables = 2;
	value = json_output_message(&response.base);
	variables = json_object_get(value, "variables");
	cr_expect_eq(json_object_size(variables), 2);
	cr_expect_str_eq(json_string_value(json_object_get(variables, "PATH")), "/bin");
	cr_expect_str_eq(json_string_value(json_object_get(variables, "")), "");
	json_decref(value);
}

static void expect_bytes(const char *bytes, const char *wanted)
{
	Pyenvd__V1__CreateEnvironmentResponse response =
		PYENVD__V1__CREATE_ENVIRONMENT_RESPONSE__INIT;
	json_t *value;

	response.beam_environment.data = (uint8_t *)bytes;
	response.beam_environment.len = strlen(bytes);
	value = json_output_message(&response.base);
	cr_expect_str_eq(json_string_value(json_object_get(value, "beam_environment")), wanted);
	json_decref(value);
}

Test(json_output, bytes_are_base64)
{
	expect_bytes("", "");
	expect_bytes("\377", "/w==");
	expect_bytes("\377\376", "//4=");
	expect_bytes("\377\376\375", "//79");
}

Test(json_output, messages_are_nested_and_lists_are_arrays)
{
	Pyenvd__V1__Environment environment = PYENVD__V1__ENVIRONMENT__INIT;
	Pyenvd__V1__Component component = PYENVD__V1__COMPONENT__INIT;
	Pyenvd__V1__Component *components[] = { &component, &component };
	char *ids[] = { (char *)"a", (char *)"b" };

	component.kind = (char *)"archive";
	environment.components = components;
	environment.n_components = 2;
	environment.layer_ids = ids;
	environment.n_layer_ids = 2;
	environment.has_uid = true;
	expect(&environment.base,
		"{\"dependency_hash\":\"\",\"uid\":0,\"has_uid\":true,\"created_unix_ms\":0,"
		"\"last_used_unix_ms\":0,\"uses\":0,\"leases\":0,\"size_bytes\":0,\"components\":["
		"{\"kind\":\"archive\",\"name\":\"\",\"value\":\"\"},"
		"{\"kind\":\"archive\",\"name\":\"\",\"value\":\"\"}],\"layer_ids\":[\"a\",\"b\"]"
		"}");
}

Test(json_output, of_a_oneof_one_is_not_null)
{
	Pyenvd__V1__CreateEnvironmentEvent event = PYENVD__V1__CREATE_ENVIRONMENT_EVENT__INIT;
	Pyenvd__V1__Progress progress = PYENVD__V1__PROGRESS__INIT;

	expect(&event.base, "{\"progress\":null,\"result\":null}");
	event.event_case = PYENVD__V1__CREATE_ENVIRONMENT_EVENT__EVENT_PROGRESS;
	event.progress = &progress;
	progress.phase = PYENVD__V1__PHASE__PHASE_EXTRACT;
	expect(&event.base,
		"{\"progress\":{\"source\":\"\",\"phase\":\"PHASE_EXTRACT\","
		"\"done_bytes\":0,\"total_bytes\":0,\"done_entries\":0},"
		"\"result\":null}");
}

Test(json_output, a_text_that_is_no_utf8_is_not_lost_silently)
{
	Pyenvd__V1__Component component = PYENVD__V1__COMPONENT__INIT;

	component.name = (char *)"\377";
	expect(&component.base, "{\"kind\":\"\",\"name\":\"?\",\"value\":\"\"}");
}
