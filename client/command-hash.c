#include <errno.h>
#include <stdio.h>
#include "base/buffer.h"
#include "client/command.h"
#include "client/json-output.h"
#include "client/offline.h"
#include "proto/request.h"
#include "client/session.h"
#include "client/table.h"
#include "proto/create-request.h"
#include "proto/message.h"
#include "proto/uv.h"

#ifndef PYENVD_WORKER_PROGRAM
#error "PYENVD_WORKER_PROGRAM comes from the build"
#endif

struct hash {
	struct request request; /* first: request_arguments want it there */
	const char *worker_program; /* NULL: ours */
	bool has_installer, may_use_uv;
};

static int take_installer(void *data, const char *value, struct error *err)
{
	struct hash *hash = data;

	if (strcmp(value, "uv") != 0 && strcmp(value, "pip") != 0)
		return fail(err, -EINVAL, NULL, "'--installer %s': neither uv nor pip", value);
	hash->has_installer = true;
	hash->may_use_uv = text_equal(value, "uv");
	return 0;
}

static int take_worker_program(void *data, const char *value, struct error *err)
{
	struct hash *hash = data;

	hash->worker_program = value;
	return 0;
}

static const struct argument arguments[] = {
	{ "installer", 0, "WHICH",
		"what the daemon installs requirements with: uv or pip;\n"
		"default: uv, if it is in /usr/local/bin or /usr/bin",
		take_installer },
	{ "worker-program", 0, "PATH", "the program that reads files for pyenvd",
		take_worker_program },
	{ 0 },
};

/* As a daemon would read it. */
static int read_request(struct request *request, struct spec *ret, struct error *err)
{
	const ProtobufCMessage *message = &request->message.base;
	_cleanup_message_ ProtobufCMessage *wire = NULL;
	_cleanup_buffer_ struct buffer packed = { 0 };
	int r;

	request_set_base(request, getenv("PATH"), getenv("PYTHONPATH"));
	message_pack(message, &packed);
	r = message_unpack(message->descriptor, packed.data, packed.size, &wire, err);
	if (r)
		return r;
	return create_request_to_spec((const void *)wire, ret, err);
}

static bool has_uv(void)
{
	_cleanup_free_ char *uv = uv_find(NULL);

	return uv;
}

static int compute(struct hash *hash, const struct spec *spec, char digest[SHA256_HEX_SIZE],
	struct hash_components *ret, struct error *err)
{
	struct helper helper;
	const struct offline offline = {
		.helper = &helper,
		.may_use_uv = hash->has_installer ? hash->may_use_uv : has_uv(),
	};
	const char *program = hash->worker_program ? hash->worker_program : PYENVD_WORKER_PROGRAM;
	int r;

	r = helper_init(&helper, program, err);
	if (r == 0)
		r = offline_hash(&offline, spec, digest, ret, err);
	helper_deinit(&helper);
	return r;
}

static void print_json(const char *digest, const struct hash_components *components)
{
	json_t *rows = json_array();
	size_t i;

	for (i = 0; i < components->count; i++)
		json_array_append_new(rows,
			json_pack("{s:s,s:s,s:s}", "kind", components->rows[i].kind, "name",
				components->rows[i].name, "value", components->rows[i].value));
	json_output_print(
		json_pack("{s:s,s:o}", "dependency_hash", digest, "components", rows), stdout);
}

static void print_text(const char *digest, const struct hash_components *components)
{
	size_t i;

	table_print_fact(stdout, "dependency hash", "%s", digest);
	for (i = 0; i < components->count; i++) {
		const struct hash_component *row = &components->rows[i];

		table_print_fact(stdout, row->kind, "%s%s%s", row->name,
			*row->name && *row->value ? " = " : "", row->value);
	}
}

static int run(struct session *session, void *data)
{
	_cleanup_(hash_components_deinit) struct hash_components components = { 0 };
	_cleanup_(spec_deinit) struct spec spec = { 0 };
	struct hash *hash = data;
	char digest[SHA256_HEX_SIZE];
	struct error err = { 0 };
	int r;

	session_catch_signals(session);
	r = read_request(&hash->request, &spec, &err);
	if (r == 0)
		r = compute(hash, &spec, digest, &components, &err);
	if (r)
		return session_fail_local(session, &err);
	if (session->is_json)
		print_json(digest, &components);
	else
		print_text(digest, &components);
	return EXIT_DONE;
}

static void deinit(void *data)
{
	struct hash *hash = data;

	request_deinit(&hash->request);
}

const struct command command_hash = {
	.name = "hash",
	.summary = "Print the dependency hash of an environment, without a daemon",
	.words = "",
	.about = "It is the one that a create with the same options gives on every host of the\n"
		 "same platform, interpreter and installer. Below it is what it was made from.",
	.arguments = { request_arguments, arguments },
	.data_size = sizeof(struct hash),
	.deinit = deinit,
	.is_offline = true,
	.run = run,
};
