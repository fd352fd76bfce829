/*
 * pyflink-udf-runner.sh: what Flink starts as a Python worker, with PYFLINK_UDF_RUNNER_DIR set
 * in a TaskManager's environment (flink-python, ProcessPythonEnvironmentManager).
 *
 *	nothing of pyenvd is said       -> the stock runner, as if we were not there
 *	PYENVD_SPEC, or a bundle among the Python files
 *	  -> a session of its own -> boot log -> lease -> variables, working directory -> exec
 *
 * The worker is us: the lease is held by our process, which becomes Python, so that signals
 * reach it, its exit code is told, and the lease ends with it. Its guardian is the TaskManager:
 * it is our parent, and when it is killed nobody else would end a worker.
 *
 * Flink waits for as long as we live, without limit; and what we say is read from the boot log
 * when we end (getBootLog()). Our standard streams lead to /dev/null.
 */
#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <stdio.h>
#include <unistd.h>
#include "base/buffer.h"
#include "base/clock.h"
#include "base/util.h"
#include "proto/bundle.h"
#include "client/command.h"
#include "client/enter.h"
#include "client/prepare.h"

#define STOCK_RUNNER "pyflink-udf-runner.sh"
#define BOOT_LOG "flink-python-udf-boot.log"
#define BOOT_MODULE "pyflink.fn_execution.beam.beam_boot"
#define EXIT_FAILED 1

struct runner {
	uint64_t began_us;
	struct session session;
	struct request request;
	struct bundle bundle;
	const char *spec; /* of PYENVD_SPEC; NULL: the bundle at ->path */
	char *path; /* owned */
	char *python_path; /* owned; the TaskManager's, without bundles */
};

static const struct command command_runner = {
	.name = "pyflink-udf-runner",
	.is_long = true,
	.failure = EXIT_FAILED,
};

static int fail_runner(const struct runner *runner, const struct error *err)
{
	session_fail_local(&runner->session, err);
	return EXIT_FAILED;
}

/* ---- what was said */

/* Bundles come as python.files: Flink puts a file that it does not know on PYTHONPATH. */
static void split_python_path(struct runner *runner)
{
	_cleanup_buffer_ struct buffer rest = { 0 };
	const char *at = getenv("PYTHONPATH");
	size_t size;

	for (; at && *at; at += size + (at[size] == ':')) {
		size = strcspn(at, ":");
		_cleanup_free_ char *entry = text_format("%.*s", (int)size, at);

		if (text_ends_with(entry, ".pyenv") && !runner->path)
			runner->path = STEAL(entry);
		else if (!text_is_empty(entry) && !text_ends_with(entry, ".pyenv"))
			buffer_format(&rest, "%s%s", rest.size ? ":" : "", entry);
	}
	runner->python_path = buffer_steal_text(&rest);
}

static int read_spec(struct runner *runner, struct error *err)
{
	const char *spec = runner->spec;

	if (spec && *spec != '/')
		return bundle_parse("PYENVD_SPEC", spec, &runner->bundle, err);
	return bundle_read(spec ? spec : runner->path, &runner->bundle, err);
}

static int fill_request(struct runner *runner, struct error *err)
{
	struct request *request = &runner->request;
	const char *python = getenv("python");
	int r;

	r = bundle_fill_request(&runner->bundle, request, err);
	if (r)
		return r;
	if (text_is_empty(request->message.python))
		request_set_python(request, text_is_empty(python) ? "python" : python);
	request_set_base(request, getenv("PATH"), runner->python_path);
	request_hold_by_process(request, 0);
	request_set_guardian(request, getppid());
	return 0;
}

/* ---- the boot log */

/* What was written so far stays: workers of one TaskManager share it. */
static void open_boot_log(void)
{
	const char *directory = getenv("BOOT_LOG_DIR");
	_cleanup_free_ char *path = NULL;
	int fd;

	if (text_is_empty(directory))
		return;
	path = text_format("%s/" BOOT_LOG, directory);
	fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY, 0644);
	if (fd < 0)
		return;
	dup2(fd, STDOUT_FILENO);
	dup2(fd, STDERR_FILENO);
	close(fd);
}

/* ---- the stock runner */

/* As Flink finds it, where its scripts did not say where it is. */
static const char find_stock_runner[] =
	"import os, pyflink, sys\n"
	"path = os.path.join(os.path.abspath(os.path.dirname(pyflink.__file__)), 'bin',\n"
	"                    '" STOCK_RUNNER "')\n"
	"os.execv(path, [path] + sys.argv[1:])\n";

static void try_stock(const char *variable, const char *below, char **argv)
{
	const char *directory = getenv(variable);
	_cleanup_free_ char *path = NULL;

	if (text_is_empty(directory))
		return;
	path = text_format("%s%s/" STOCK_RUNNER, directory, below);
	argv[0] = path;
	execv(path, argv);
	argv[0] = (char *)command_runner.name;
}

/* A relative interpreter is one of the archives that Flink extracted. */
static void ask_python(char **argv, int argc, struct error *err)
{
	const char *python = getenv("python"), *archives = getenv("_PYTHON_WORKING_DIR");
	char **words = new0_array(char *, (size_t)argc + 4);
	int i;

	words[0] = (char *)(text_is_empty(python) ? "python" : python);
	words[1] = (char *)"-c";
	words[2] = (char *)find_stock_runner;
	for (i = 1; i < argc; i++)
		words[2 + i] = argv[i];
	if (!text_is_empty(archives) && chdir(archives))
		fail_errno(err, -errno, NULL, "cannot enter '%s'", archives);
	else if (execvp(words[0], words))
		fail_errno(err, -errno, NULL, "cannot execute '%s' to find Flink's own runner",
			words[0]);
	free(words);
}

static int run_stock(struct runner *runner, char **argv, int argc)
{
	struct error err = { 0 };

	/* Of Flink's scripts those that start a TaskManager export the latter alone. */
	try_stock("FLINK_HOME", "/bin", argv);
	try_stock("FLINK_BIN_DIR", "", argv);
	ask_python(argv, argc, &err);
	open_boot_log();
	return fail_runner(runner, &err);
}

/* ---- ours */

/* Flink reads the boot log where it said it would be. */
static int enter(const Pyenvd__V1__CreateEnvironmentResponse *response, struct error *err)
{
	_cleanup_free_ char *boot_log = text_copy(getenv("BOOT_LOG_DIR"));
	int r;

	r = enter_environment(response, err);
	unsetenv("PYENVD_SPEC");
	if (r == 0 && boot_log && setenv("BOOT_LOG_DIR", boot_log, 1))
		r = fail_errno(err, -errno, NULL, "cannot set the variable 'BOOT_LOG_DIR'");
	return r;
}

static int become_worker(struct runner *runner, const char *python, char **argv, int argc)
{
	char **words = new0_array(char *, (size_t)argc + 4);
	struct error err;
	int i;

	words[0] = (char *)python;
	words[1] = (char *)"-m";
	words[2] = (char *)BOOT_MODULE;
	for (i = 1; i < argc; i++)
		words[2 + i] = argv[i];
	/* From here on signals do what they did before. */
	session_deinit(&runner->session);
	execv(python, words);
	fail_errno(&err, -errno, NULL, "cannot execute '%s'", python);
	free(words);
	return fail_runner(runner, &err);
}

static bool was_there(const Pyenvd__V1__CreateEnvironmentResponse *response)
{
	size_t i;

	for (i = 0; i < response->n_layers; i++)
		if (response->layers[i]->origin != PYENVD__V1__LAYER_ORIGIN__LAYER_ORIGIN_FOUND)
			return false;
	return true;
}

/* What an operator wants to know of a worker that runs. */
static void tell(const struct runner *runner, const Pyenvd__V1__CreateEnvironmentResponse *response)
{
	fprintf(stderr, "pyenvd: environment %s, lease %s, %s within %.1f ms\n",
		response->dependency_hash, response->lease_id,
		was_there(response) ? "found" : "prepared",
		(double)(clock_now_us() - runner->began_us) / 1000);
}

static int run_ours(struct runner *runner, char **argv, int argc)
{
	Pyenvd__V1__CreateEnvironmentResponse *response = NULL;
	struct error err = { 0 };
	int code;

	/* A process of Java's is in its JVM's group; what is to be ended with the TaskManager
	 * has to be told from it. */
	setsid();
	open_boot_log();
	if (read_spec(runner, &err) || fill_request(runner, &err))
		return fail_runner(runner, &err);
	code = session_connect(&runner->session);
	if (code == EXIT_DONE)
		code = prepare_environment(
			&runner->session, &runner->request, &runner->bundle, &response);
	if (code != EXIT_DONE)
		return EXIT_FAILED;
	_cleanup_free_ char *python = text_copy(response->interpreter);
	int r = enter(response, &err);

	if (r == 0)
		tell(runner, response);
	pyenvd_message_free(response);
	return r ? fail_runner(runner, &err) : become_worker(runner, python, argv, argc);
}

int main(int argc, char **argv)
{
	struct runner runner = {
		.began_us = clock_now_us(),
		.session = { .program = "pyenvd", .command = &command_runner, .is_quiet = true },
		.spec = getenv("PYENVD_SPEC"),
	};
	int code;

	setlocale(LC_CTYPE, "");
	if (text_is_empty(runner.spec))
		runner.spec = NULL;
	split_python_path(&runner);
	code = runner.spec || runner.path ? run_ours(&runner, argv, argc)
					  : run_stock(&runner, argv, argc);
	session_deinit(&runner.session);
	bundle_deinit(&runner.bundle);
	request_deinit(&runner.request);
	free(runner.path);
	free(runner.python_path);
	return code;
}
