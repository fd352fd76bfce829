#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include "client/command.h"
#include "client/duration.h"
#include "client/format.h"
#include "client/json-output.h"
#include "client/list-rows.h"
#include "client/session.h"
#include "client/table.h"

struct collect {
	bool is_dry_run;
	uint64_t max_bytes, idle_ms;
};

static int take_dry_run(void *data, const char *value, struct error *err)
{
	struct collect *collect = data;

	collect->is_dry_run = true;
	return 0;
}

static int take_max_bytes(void *data, const char *value, struct error *err)
{
	struct collect *collect = data;

	if (parse_bytes(value, &collect->max_bytes))
		return fail(err, -EINVAL, NULL, "'--max-bytes %s': not a size, such as 500M or 20G",
			value);
	return 0;
}

static int take_idle(void *data, const char *value, struct error *err)
{
	struct collect *collect = data;

	if (duration_parse(value, &collect->idle_ms) || collect->idle_ms / 1000 > UINT32_MAX)
		return fail(
			err, -EINVAL, NULL, "'--idle %s': not a duration, such as 2h or 7d", value);
	return 0;
}

static const struct argument arguments[] = {
	{ "dry-run", 'n', NULL, "say what would be removed, remove nothing", take_dry_run },
	{ "max-bytes", 0, "SIZE",
		"stop when all together is not larger than this\n"
		"(500M, 20G); default: remove all that is unused",
		take_max_bytes },
	{ "idle", 0, "DURATION", "only what was not used for this long", take_idle },
	{ 0 },
};

static void print(const Pyenvd__V1__CollectResponse *response, bool is_dry_run)
{
	_cleanup_(table_deinit) struct table table = list_rows_layers();
	_cleanup_free_ char *freed = format_bytes(response->freed_bytes);
	_cleanup_free_ char *kept = format_bytes(response->kept_bytes);
	_cleanup_(table_deinit) struct table artifacts = list_rows_artifacts();
	_cleanup_free_ char *others = text_copy("");
	size_t i;

	if (response->n_artifacts) {
		free(others);
		others = text_format(" and %zu artifact%s", response->n_artifacts,
			response->n_artifacts == 1 ? "" : "s");
	}
	for (i = 0; i < response->n_layers; i++)
		list_rows_add_layer(&table, response->layers[i]);
	if (response->n_layers)
		table_print(&table, stdout);
	for (i = 0; i < response->n_artifacts; i++)
		list_rows_add_artifact(&artifacts, response->artifacts[i]);
	if (response->n_artifacts)
		table_print(&artifacts, stdout);
	printf("%s %zu layer%s%s, %s; %s stay\n", is_dry_run ? "would remove" : "removed",
		response->n_layers, response->n_layers == 1 ? "" : "s", others, freed, kept);
}

static int run(struct session *session, void *data)
{
	Pyenvd__V1__CollectRequest request = PYENVD__V1__COLLECT_REQUEST__INIT;
	const struct collect *collect = data;
	Pyenvd__V1__CollectResponse *response;
	struct pyenvd_error error;

	request.dry_run = collect->is_dry_run;
	request.max_bytes = collect->max_bytes;
	/* Less than a second is not "any". */
	request.idle_seconds = (uint32_t)(collect->idle_ms / 1000 + (collect->idle_ms % 1000 > 0));
	if (pyenvd_collect(session->client, &request, &response, &error))
		return session_fail(session, &error);
	if (session->is_json)
		json_output_print(json_output_message(&response->base), stdout);
	else
		print(response, collect->is_dry_run);
	pyenvd_message_free(response);
	return EXIT_DONE;
}

const struct command command_collect = {
	.name = "collect",
	.words = "",
	.summary = "Remove layers and uploads that nobody uses",
	.about = "Least recently used first; what is leased stays. For administrators.",
	.arguments = { arguments },
	.data_size = sizeof(struct collect),
	.is_long = true,
	.run = run,
};
