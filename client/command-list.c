/*
 * The lists are one: they differ in the call, and in how a row is shown. Pages
 * are alike in their descriptors, too: the rows are field 1, the token is field 2.
 */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include "client/command.h"
#include "client/json-output.h"
#include "client/list-rows.h"
#include "client/session.h"
#include "client/table.h"

#define PAGE_SIZE 1000

static void add_environment(struct table *table, const ProtobufCMessage *row)
{
	list_rows_add_environment(table, container_of(row, Pyenvd__V1__Environment, base));
}

static void add_layer(struct table *table, const ProtobufCMessage *row)
{
	list_rows_add_layer(table, container_of(row, Pyenvd__V1__Layer, base));
}

static void add_lease(struct table *table, const ProtobufCMessage *row)
{
	list_rows_add_lease(table, container_of(row, Pyenvd__V1__Lease, base));
}

static void add_creation(struct table *table, const ProtobufCMessage *row)
{
	list_rows_add_creation(table, container_of(row, Pyenvd__V1__Creation, base));
}

static void add_artifact(struct table *table, const ProtobufCMessage *row)
{
	list_rows_add_artifact(table, container_of(row, Pyenvd__V1__Artifact, base));
}

static const struct kind {
	const char *name, *method;
	struct table (*table)(void);
	void (*add)(struct table *table, const ProtobufCMessage *row);
} kinds[] = {
	{ "environments", "ListEnvironments", list_rows_environments, add_environment },
	{ "layers", "ListLayers", list_rows_layers, add_layer },
	{ "leases", "ListLeases", list_rows_leases, add_lease },
	{ "creations", "ListCreations", list_rows_creations, add_creation },
	{ "artifacts", "ListArtifacts", list_rows_artifacts, add_artifact },
};

/* What a list is gathered in: one of them. */
struct list_output {
	const struct kind *kind;
	struct table table;
	json_t *rows; /* NULL: the table */
};

static void add_rows(struct list_output *output, const ProtobufCMessage *page)
{
	const ProtobufCFieldDescriptor *field = &page->descriptor->fields[0];
	const char *at = (const char *)page;
	ProtobufCMessage **rows = *(ProtobufCMessage ***)(void *)(at + field->offset);
	size_t i, n = *(const size_t *)(const void *)(at + field->quantifier_offset);

	assert(field->id == 1 && field->label == PROTOBUF_C_LABEL_REPEATED);
	for (i = 0; i < n; i++)
		if (output->rows)
			json_array_append_new(output->rows, json_output_message(rows[i]));
		else
			output->kind->add(&output->table, rows[i]);
}

/* Taken out of the page; NULL when it is the last. */
static char *take_token(const ProtobufCMessage *page)
{
	const ProtobufCFieldDescriptor *field = &page->descriptor->fields[1];
	const char *token = *(char *const *)(const void *)((const char *)page + field->offset);

	assert(field->id == 2 && field->type == PROTOBUF_C_TYPE_STRING);
	return text_is_empty(token) ? NULL : text_copy(token);
}

static int gather(struct session *session, struct list_output *output)
{
	Pyenvd__V1__ListRequest request = PYENVD__V1__LIST_REQUEST__INIT;
	_cleanup_free_ char *token = NULL;
	struct pyenvd_error error;
	ProtobufCMessage *page;

	request.page_size = PAGE_SIZE;
	do {
		if (token)
			request.page_token = token;
		if (pyenvd_call(
			    session->client, output->kind->method, &request.base, &page, &error))
			return session_fail(session, &error);
		add_rows(output, page);
		free(token);
		token = take_token(page);
		pyenvd_message_free(page);
	} while (token);
	return EXIT_DONE;
}

static int run(struct session *session, void *data)
{
	struct list_output output = { 0 };
	struct error err = { 0 };
	size_t i;
	int code;

	for (i = 0; i < ARRAY_SIZE(kinds); i++)
		if (strcmp(kinds[i].name, session->words[0]) == 0)
			output.kind = &kinds[i];
	if (!output.kind) {
		fail(&err, -EINVAL, NULL,
			"'%s' is no list; there are environments, layers, leases, creations, "
			"artifacts",
			session->words[0]);
		return session_fail_usage(session, &err);
	}
	output.table = output.kind->table();
	if (session->is_json)
		output.rows = json_array();
	code = gather(session, &output);
	if (!code && output.rows)
		json_output_print(json_pack("{s:O}", output.kind->name, output.rows), stdout);
	else if (!code)
		table_print(&output.table, stdout);
	json_decref(output.rows);
	table_deinit(&output.table);
	return code;
}

const struct command command_list = {
	.name = "list",
	.words = "environments|layers|leases|creations|artifacts",
	.summary = "List what the daemon has",
	.about = "Ordinary users see what is theirs, administrators everything.",
	.min_words = 1,
	.max_words = 1,
	.run = run,
};
