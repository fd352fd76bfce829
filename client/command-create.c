#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include "client/command.h"
#include "client/describe.h"
#include "client/duration.h"
#include "client/format.h"
#include "client/json-output.h"
#include "client/prepare.h"
#include "client/table.h"

#define DEFAULT_TTL_S 3600

struct create {
	struct request request; /* first: request_arguments want it there */
	bool has_ttl, has_pid, is_shell;
	uint64_t ttl_ms, pid;
};

static int take_ttl(void *data, const char *value, struct error *err)
{
	struct create *create = data;

	create->has_ttl = true;
	return duration_parse_ttl(value, &create->ttl_ms, err);
}

static int take_pid(void *data, const char *value, struct error *err)
{
	struct create *create = data;

	if (parse_u64(value, &create->pid) || !create->pid || create->pid > INT32_MAX)
		return fail(err, -EINVAL, NULL, "'--pid %s': not the number of a process", value);
	create->has_pid = true;
	return 0;
}

static int take_shell(void *data, const char *value, struct error *err)
{
	struct create *create = data;

	create->is_shell = true;
	return 0;
}

static const struct argument arguments[] = {
	{ "ttl", 0, "DURATION", "the lease ends after this time, unless renewed;\ndefault: 1h",
		take_ttl },
	{ "pid", 0, "PID", "the lease ends with this process instead", take_pid },
	{ "shell", 0, NULL, "print assignments for a shell to evaluate", take_shell },
	{ 0 },
};

static void print_assignment(const char *name, const char *value)
{
	_cleanup_free_ char *quoted = format_shell(value);

	printf("export %s=%s\n", name, quoted);
}

/* A shell cannot hold every name that an environment can. */
static bool is_shell_name(const char *name)
{
	const char *letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_0123456789";

	return !(*name >= '0' && *name <= '9') && *name && !name[strspn(name, letters)];
}

static void print_shell(const Pyenvd__V1__CreateEnvironmentResponse *response)
{
	size_t i;

	for (i = 0; i < response->n_variables; i++)
		if (is_shell_name(response->variables[i]->key))
			print_assignment(
				response->variables[i]->key, response->variables[i]->value);
	print_assignment("PYENVD_LEASE", response->lease_id);
	print_assignment("PYENVD_WORKING_DIRECTORY", response->working_directory);
}

static int run(struct session *session, void *data)
{
	Pyenvd__V1__CreateEnvironmentResponse *response = NULL;
	struct create *create = data;
	struct error err = { 0 };
	int code;

	if (create->has_ttl && create->has_pid)
		fail(&err, -EINVAL, NULL, "'--ttl' and '--pid' exclude each other");
	if (create->request.process.guardian_pid && !create->has_pid)
		fail(&err, -EINVAL, NULL, "'--guardian' needs '--pid': whom to end");
	if (create->is_shell && session->is_json)
		fail(&err, -EINVAL, NULL, "'--shell' and '--json' exclude each other");
	if (err.r)
		return session_fail_usage(session, &err);
	request_set_base(&create->request, getenv("PATH"), getenv("PYTHONPATH"));
	if (create->has_pid)
		request_hold_by_process(&create->request, (int32_t)create->pid);
	else
		request_hold_for(&create->request,
			create->has_ttl ? (uint32_t)(create->ttl_ms / 1000) : DEFAULT_TTL_S);
	code = prepare_environment(session, &create->request, NULL, &response);
	if (code)
		return code;
	if (session->is_json)
		json_output_print(json_output_message(&response->base), stdout);
	else if (create->is_shell)
		print_shell(response);
	else
		describe_created(response, stdout);
	pyenvd_message_free(response);
	return EXIT_DONE;
}

static void deinit(void *data)
{
	struct create *create = data;

	request_deinit(&create->request);
}

const struct command command_create = {
	.name = "create",
	.summary = "Prepare an environment and take a lease on it",
	.words = "",
	.about = "Prints the lease's id (release takes it), where to start, and which\n"
		 "variables to set. PATH and PYTHONPATH of the caller stay behind those of\n"
		 "the environment.",
	.arguments = { request_arguments, arguments },
	.data_size = sizeof(struct create),
	.deinit = deinit,
	.is_long = true,
	.run = run,
};
