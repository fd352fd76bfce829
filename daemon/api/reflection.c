/*
 * The services grpc.reflection.v1 and v1alpha.ServerReflection, whose messages are
 * the same on the wire.
 *
 * What there is to tell comes from the .proto files themselves: the build leaves
 * their FileDescriptorSet in this program (descriptors.h). Calls are rare, so it is
 * parsed for each message and nothing is kept.
 */
#include "daemon/api/services.h"

#include <stdio.h>
#include "daemon/api/convert.h"
#include "descriptor.pb-c.h"
#include "descriptors.h"
#include "reflection.pb-c.h"

typedef Google__Protobuf__FileDescriptorSet file_set;
typedef Google__Protobuf__FileDescriptorProto file_proto;
typedef Google__Protobuf__DescriptorProto message_proto;
typedef Grpc__Reflection__V1__ServerReflectionRequest reflection_request;
typedef Grpc__Reflection__V1__ServerReflectionResponse reflection_response;

/* Whether @symbol is @scope.@name; or begins so, with the rest in @rest. */
static bool match(const char *symbol, const char *scope, const char *name, const char **rest)
{
	size_t n = strlen(scope), m = strlen(name);

	if (strncmp(symbol, scope, n) != 0 || symbol[n] != '.' ||
		strncmp(symbol + n + 1, name, m) != 0)
		return false;
	*rest = symbol + n + 1 + m;
	return !**rest || **rest == '.';
}

static bool message_has(const message_proto *message, const char *rest)
{
	size_t i, n;

	if (!*rest)
		return true;
	rest++;
	for (i = 0; i < message->n_field; i++)
		if (text_equal(message->field[i]->name, rest))
			return true;
	for (i = 0; i < message->n_enum_type; i++)
		if (text_equal(message->enum_type[i]->name, rest))
			return true;
	for (i = 0; i < message->n_nested_type; i++) {
		n = strlen(message->nested_type[i]->name);
		if (strncmp(rest, message->nested_type[i]->name, n) == 0 &&
			(!rest[n] || rest[n] == '.') &&
			message_has(message->nested_type[i], rest + n))
			return true;
	}
	return false;
}

static bool service_has(const Google__Protobuf__ServiceDescriptorProto *service, const char *rest)
{
	size_t i;

	if (!*rest)
		return true;
	for (i = 0; i < service->n_method; i++)
		if (text_equal(service->method[i]->name, rest + 1))
			return true;
	return false;
}

static bool file_has(const file_proto *file, const char *symbol)
{
	const char *rest;
	size_t i;

	for (i = 0; i < file->n_message_type; i++)
		if (match(symbol, file->package, file->message_type[i]->name, &rest) &&
			message_has(file->message_type[i], rest))
			return true;
	for (i = 0; i < file->n_service; i++)
		if (match(symbol, file->package, file->service[i]->name, &rest) &&
			service_has(file->service[i], rest))
			return true;
	for (i = 0; i < file->n_enum_type; i++)
		if (match(symbol, file->package, file->enum_type[i]->name, &rest) && !*rest)
			return true;
	return false;
}

static const file_proto *find_file(const file_set *set, const char *name, const char *symbol)
{
	size_t i;

	for (i = 0; i < set->n_file; i++)
		if (name ? text_equal(set->file[i]->name, name) : file_has(set->file[i], symbol))
			return set->file[i];
	return NULL;
}

static void set_error(reflection_response *response, enum grpc_code code, const char *text,
	struct convert_pool *pool)
{
	Grpc__Reflection__V1__ErrorResponse *error = convert_alloc(pool, 1, sizeof(*error));

	grpc__reflection__v1__error_response__init(error);
	error->error_code = code;
	error->error_message = (char *)text;
	response->message_response_case =
		GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__MESSAGE_RESPONSE_ERROR_RESPONSE;
	response->error_response = error;
}

/* The file and those that it imports, each once. */
static void add_file(const file_set *set, const file_proto *file, ProtobufCBinaryData *list,
	const file_proto **seen, size_t *count, struct convert_pool *pool)
{
	size_t i;

	for (i = 0; i < *count; i++)
		if (seen[i] == file)
			return;
	seen[*count] = file;
	list[*count].len = google__protobuf__file_descriptor_proto__get_packed_size(file);
	list[*count].data = convert_alloc(pool, 1, list[*count].len);
	google__protobuf__file_descriptor_proto__pack(file, list[*count].data);
	(*count)++;
	for (i = 0; i < file->n_dependency; i++) {
		const file_proto *import = find_file(set, file->dependency[i], NULL);

		if (import)
			add_file(set, import, list, seen, count, pool);
	}
}

static void answer_file(const file_set *set, const file_proto *file, reflection_response *response,
	struct convert_pool *pool)
{
	Grpc__Reflection__V1__FileDescriptorResponse *files;
	const file_proto **seen;

	if (!file) {
		set_error(response, GRPC_NOT_FOUND, "there is no such file or symbol here", pool);
		return;
	}
	files = convert_alloc(pool, 1, sizeof(*files));
	grpc__reflection__v1__file_descriptor_response__init(files);
	files->file_descriptor_proto = convert_alloc(
		pool, set->n_file, sizeof(*files->file_descriptor_proto));
	seen = convert_alloc(pool, set->n_file, sizeof(*seen));
	add_file(set, file, files->file_descriptor_proto, seen, &files->n_file_descriptor_proto,
		pool);
	response->message_response_case =
		GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__MESSAGE_RESPONSE_FILE_DESCRIPTOR_RESPONSE;
	response->file_descriptor_response = files;
}

static void answer_services(
	const file_set *set, reflection_response *response, struct convert_pool *pool)
{
	Grpc__Reflection__V1__ListServiceResponse *list = convert_alloc(pool, 1, sizeof(*list));
	size_t i, j, n = 0;

	grpc__reflection__v1__list_service_response__init(list);
	for (i = 0; i < set->n_file; i++)
		n += set->file[i]->n_service;
	list->service = convert_alloc(pool, n, sizeof(*list->service));
	for (i = 0; i < set->n_file; i++)
		for (j = 0; j < set->file[i]->n_service; j++) {
			Grpc__Reflection__V1__ServiceResponse *service = convert_alloc(
				pool, 1, sizeof(*service));

			grpc__reflection__v1__service_response__init(service);
			service->name = convert_keep(pool,
				text_format("%s.%s", set->file[i]->package,
					set->file[i]->service[j]->name));
			list->service[list->n_service++] = service;
		}
	response->message_response_case =
		GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__MESSAGE_RESPONSE_LIST_SERVICES_RESPONSE;
	response->list_services_response = list;
}

static void answer(const file_set *set, const reflection_request *request,
	reflection_response *response, struct convert_pool *pool)
{
	switch (request->message_request_case) {
	case GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_FILE_BY_FILENAME:
		answer_file(set, find_file(set, request->file_by_filename, NULL), response, pool);
		break;
	case GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_FILE_CONTAINING_SYMBOL:
		answer_file(
			set, find_file(set, NULL, request->file_containing_symbol), response, pool);
		break;
	case GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_LIST_SERVICES:
		answer_services(set, response, pool);
		break;
	case GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST__NOT_SET:
		set_error(response, GRPC_INVALID_ARGUMENT, "nothing was asked for", pool);
		break;
	default:
		set_error(response, GRPC_NOT_FOUND, "there are no extensions here", pool);
	}
}

static void info(struct rpc *rpc, const ProtobufCMessage *message)
{
	reflection_response response = GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__INIT;
	const reflection_request *request = (const void *)message;
	_cleanup_(convert_pool_deinit) struct convert_pool pool = { 0 };
	file_set *set = google__protobuf__file_descriptor_set__unpack(
		NULL, descriptors_size, descriptors);

	if (!set)
		abort();
	response.valid_host = request->host;
	response.original_request = (reflection_request *)request;
	answer(set, request, &response, &pool);
	rpc_send(rpc, &response.base);
	google__protobuf__file_descriptor_set__free_unpacked(set, NULL);
}

static const struct rpc_method methods[] = {
	{
		.path = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
		.request = &grpc__reflection__v1__server_reflection_request__descriptor,
		.is_stream = true,
		.handle = info,
	},
};

static const struct rpc_method alpha_methods[] = {
	{
		.path = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
		.request = &grpc__reflection__v1__server_reflection_request__descriptor,
		.is_stream = true,
		.handle = info,
	},
};

const struct rpc_service reflection_service = {
	.name = "grpc.reflection.v1.ServerReflection",
	.methods = methods,
	.method_count = ARRAY_SIZE(methods),
};

const struct rpc_service reflection_alpha_service = {
	.name = "grpc.reflection.v1alpha.ServerReflection",
	.methods = alpha_methods,
	.method_count = ARRAY_SIZE(alpha_methods),
};
