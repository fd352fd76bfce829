/*
 * It is run as the client, who would run it next in any case, and has brought it or named
 * it: so it learns nothing and reaches nothing that it could not without us. It can write
 * nowhere (confine.c), has no network, no variables of anybody's, and some time.
 *
 * Not isolated (-I), for its own site-packages tell whether it has a pip; but without the
 * user's directory and without the current one.
 */
#include "daemon/worker/probe.h"

#include <errno.h>
#include <glob.h>
#include <stdio.h>
#include "base/buffer.h"
#include "base/clock.h"
#include "base/utf8.h"
#include "daemon/worker/program.h"

#define TIME_LIMIT_S 20
#define MAX_OUTPUT 65536
#define MARK "\npyenvd:"

static const char question[] =
	"import sys\n"
	"sys.path[:] = [p for p in sys.path if p]\n"
	"import sysconfig\n"
	"try:\n"
	"    from importlib.metadata import version\n"
	"    pip = version('pip')\n"
	"except Exception:\n"
	"    pip = ''\n"
	"abi = sysconfig.get_config_var('SOABI') or sys.implementation.cache_tag\n"
	"sys.stdout.write('\\npyenvd:' + '|'.join((sys.implementation.name,\n"
	"    '%d.%d.%d' % sys.version_info[:3], abi, sysconfig.get_platform(), pip)) + '\\n')\n";

static void take(void *data, const uint8_t *bytes, size_t size)
{
	struct buffer *output = data;

	/* The last is what counts: the answer, or why there is none. */
	buffer_append(output, bytes, size);
	if (output->size > MAX_OUTPUT)
		buffer_consume(output, output->size - MAX_OUTPUT);
}

static int ask(const struct probe *probe, const char *home, struct buffer *output, int *status,
	struct error *err)
{
	_cleanup_free_ char *variable = text_format("PYTHONHOME=%s", home ? home : "");
	const char *const argv[] = { probe->path, "-s", "-B", "-c", question, NULL };
	const char *const environment[] = { "PATH=/usr/local/bin:/usr/bin:/bin", "LC_ALL=C.UTF-8",
		"PYTHONNOUSERSITE=1", home ? variable : NULL, NULL };
	const struct program program = {
		.argv = argv,
		.environment = environment,
		.directory = "/",
		.as = probe->peer,
		.is_offline = true,
		.until_us = clock_now_us() + TIME_LIMIT_S * UINT64_C(1000000),
		.stop_fd = probe->stop_fd,
		.output = take,
		.data = output,
	};

	return program_run(&program, status, err);
}

static void copy_field(char **at, char *to, size_t size)
{
	char *field = strsep(at, "|");

	snprintf(to, size, "%s", field ? field : "");
}

/* False: it did not say who it is. */
static bool understand(struct probe *probe, char *output)
{
	char *at = NULL, *next = output;

	while ((next = strstr(next, MARK)))
		at = next += strlen(MARK);
	if (!at)
		return false;
	at[strcspn(at, "\n")] = 0;
	copy_field(&at, probe->implementation, sizeof(probe->implementation));
	copy_field(&at, probe->version, sizeof(probe->version));
	copy_field(&at, probe->abi, sizeof(probe->abi));
	copy_field(&at, probe->platform, sizeof(probe->platform));
	copy_field(&at, probe->pip, sizeof(probe->pip));
	return *probe->implementation && *probe->version && *probe->abi && *probe->platform;
}

static char *last_line(char *output)
{
	size_t n = strlen(output);
	char *line;

	while (n && strchr(" \t\r\n", output[n - 1]))
		output[--n] = 0;
	line = strrchr(output, '\n');
	return line ? line + 1 : output;
}

static int fail_to_answer(const struct probe *probe, int status, char *output, struct error *err)
{
	char how[64];
	char *line = last_line(output);

	program_explain(status, how, sizeof(how));
	return fail(err, -EINVAL, "INTERPRETER_UNUSABLE",
		"'%s' does not answer as a Python of version 3 (%s)%s%.300s", probe->path, how,
		*line ? ": " : "", line);
}

/* 0, or the failure in words. */
static int try(struct probe *probe, const char *home, struct error *err)
{
	_cleanup_free_ char *output = NULL;
	struct buffer printed = { 0 };
	int status, r;

	r = ask(probe, home, &printed, &status, err);
	output = buffer_steal_text(&printed);
	utf8_repair(output, strlen(output));
	if (r == PROGRAM_E_TIME)
		return fail(err, -EINVAL, "INTERPRETER_UNUSABLE",
			"'%s' did not answer within %d seconds", probe->path, TIME_LIMIT_S);
	if (r == -ENOEXEC || r == -ENOENT || r == -EACCES || r == -ELIBBAD) {
		err->r = -EINVAL;
		snprintf(err->reason, sizeof(err->reason), "INTERPRETER_UNUSABLE");
		return err->r;
	}
	if (r)
		return r;
	return understand(probe, output) ? 0 : fail_to_answer(probe, status, output, err);
}

static bool has_library(const char *home)
{
	_cleanup_free_ char *pattern = text_format("%s/lib/python3.*/encodings", home);
	glob_t found = { 0 };
	bool has_it = glob(pattern, GLOB_NOSORT, NULL, &found) == 0;

	globfree(&found);
	return has_it;
}

int probe_run(struct probe *probe, struct error *err)
{
	struct error first = { 0 };
	int r;

	r = try(probe, NULL, &first);
	if (r && probe->home && has_library(probe->home)) {
		r = try(probe, probe->home, err);
		probe->needs_home = r == 0;
		if (r == 0)
			return 0;
	}
	if (r)
		*err = first;
	return first.r;
}
