/*
 * Bytecode says of itself that it need not be compared with its source (PEP 552): nobody
 * can change either, and it does not depend on times. Nor does it depend on where the layer
 * is, so that another layer's can be the same file (share.c): it names its source relative
 * to the tree, and who imports it puts the path there that it was found by.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/fs.h"
#include "daemon/worker/install-internal.h"
#include "daemon/worker/program.h"

#define TRIES 3
#define TAIL 420
#define MAX_PIP_LOG (1 << 20)

/* ---- running */

static void take_output(void *data, const uint8_t *bytes, size_t size)
{
	struct install_work *work = data;

	install_output_add(&work->output, bytes, size);
}

static int check_room(void *data, struct error *err)
{
	const struct install *install = ((struct install_work *)data)->install;
	uint64_t room;

	if (fs_get_room(install->directory_fd, &room) || room >= install->limits.reserve_bytes)
		return 0;
	return fail(err, -ENOSPC, "NO_SPACE",
		"installing '%s': the disk has %llu bytes left, less than the reserve of %llu",
		install->path, (unsigned long long)room,
		(unsigned long long)install->limits.reserve_bytes);
}

static int run(struct install_work *work, const struct installer_command *command, int *status,
	struct error *err)
{
	const struct install *install = work->install;
	const struct program program = {
		.argv = (const char *const *)command->argv,
		.environment = (const char *const *)command->environment,
		.directory = work->scratch,
		.as = install->slot,
		.owns_uid = install->slot,
		.is_offline = install->installer.is_offline,
		.writes_fd = install->directory_fd,
		.max_file_bytes = install->limits.max_bytes,
		.until_us = install->until_us,
		.stop_fd = install->stop_fd,
		.output = take_output,
		.tick = check_room,
		.data = work,
	};
	int r;

	r = program_run(&program, status, err);
	install_output_end(&work->output);
	if (r == PROGRAM_E_TIME)
		return fail(err, -ETIME, "INSTALL_TIMEOUT",
			"installing '%s' took longer than it may (install_timeout); what it "
			"printed "
			"is in '%s'",
			install->path, install->log_path);
	return r;
}

static int fail_install(const struct install_work *work, const struct installer_failure *failure,
	int status, struct error *err)
{
	const struct install *install = work->install;
	char how[64], tail[TAIL];

	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGXFSZ)
		return fail(err, -EFBIG, "LIMIT_EXCEEDED",
			"installing '%s': a file of more than %llu bytes (max_layer_bytes)",
			install->path, (unsigned long long)install->limits.max_bytes);
	program_explain(status, how, sizeof(how));
	install_output_get_tail(&work->output, tail, sizeof(tail));
	return fail(err, failure->r, failure->reason,
		"installing '%.100s' with %s: %s (%s); all that it printed is in '%s':\n%s",
		install->path, install->installer.kind == INSTALLER_UV ? "uv" : "pip",
		failure->words, how, install->log_path, tail);
}

/* One that could not even be started: for whom, says why. */
static int explain_start(const struct install_work *work, int r, struct error *err)
{
	const struct install *install = work->install;

	if (r != -EACCES && r != -ENOENT && r != -ENOEXEC)
		return r;
	err->r = -EINVAL;
	snprintf(err->reason, sizeof(err->reason), "INTERPRETER_UNUSABLE");
	error_prefix(err, "installing '%s', as uid %d", install->path,
		(int)(install->slot ? install->slot->uid : geteuid()));
	return err->r;
}

static bool wait_a_while(const struct install *install, unsigned seconds)
{
	struct pollfd stop = { .fd = install->stop_fd, .events = POLLIN };

	if (clock_now_us() + seconds * UINT64_C(1000000) >= install->until_us)
		return false;
	if (poll(&stop, 1, (int)seconds * 1000) == 1)
		_exit(EXIT_FAILURE);
	return true;
}

static bool went_well(int status)
{
	return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/* pip's own log, which its user has written: as that user, and if it is a file at all. */
static int open_log(const struct install *install)
{
	int fd;

	if (install->slot && identity_assume(install->slot, NULL))
		return -EPERM;
	fd = openat(install->directory_fd, "tmp/" INSTALLER_PIP_LOG,
		O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (install->slot)
		identity_resume();
	return fd;
}

/* The last part of it, as text. */
static char *read_log(const struct install *install)
{
	_cleanup_close_ int fd = open_log(install);
	struct buffer log = { 0 };
	struct stat st;
	ssize_t n;

	if (fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode)) {
		n = pread(fd, buffer_reserve(&log, MAX_PIP_LOG), MAX_PIP_LOG,
			st.st_size > MAX_PIP_LOG ? st.st_size - MAX_PIP_LOG : 0);
		log.size = n > 0 ? (size_t)n : 0;
	}
	return buffer_steal_text(&log);
}

static const struct installer_failure *understand(struct install_work *work)
{
	_cleanup_free_ char *log = read_log(work->install);
	struct buffer *tail = &work->output.tail;

	buffer_append(tail, "", 1);
	tail->size--;
	return installer_understand((const char *)tail->data, log);
}

/* A try that failed for a passing reason leaves nothing to the next. */
static int run_installer(
	struct install_work *work, const struct installer_command *command, struct error *err)
{
	const struct installer_failure *failure;
	int i, r, status;

	for (i = 1;; i++) {
		r = run(work, command, &status, err);
		if (r)
			return explain_start(work, r, err);
		if (went_well(status))
			return 0;
		failure = understand(work);
		if (!failure->is_transient || i == TRIES ||
			!wait_a_while(work->install, 1U << (2 * i - 2)))
			return fail_install(work, failure, status, err);
		r = install_start_again(work, err);
		if (r)
			return r;
	}
}

int install_packages(struct install_work *work, struct error *err)
{
	struct installer *installer = &work->install->installer;
	struct installer_command command;
	int r;

	installer->source = work->source;
	installer->scratch = work->scratch;
	installer->tree = work->tree;
	report_phase(work->install->report, REPORT_INSTALL, 0);
	installer_prepare(installer, &command);
	r = run_installer(work, &command, err);
	installer_command_deinit(&command);
	return r;
}

/* ---- bytecode */

static const char compile_program[] =
	"import os, py_compile, sys\n"
	"tree, count = sys.argv[1], int(sys.argv[2])\n"
	"mode = py_compile.PycInvalidationMode.UNCHECKED_HASH\n"
	"files = []\n"
	"for at, _, names in os.walk(tree):\n"
	"    files += [os.path.join(at, n) for n in names if n.endswith('.py')]\n"
	"files = [f for f in files if not os.path.islink(f)]\n"
	"files.sort(key=lambda f: (-os.lstat(f).st_size, f))\n"
	"me = 0\n"
	"for i in range(1, count):\n"
	"    if os.fork() == 0:\n"
	"        me = i\n"
	"        break\n"
	"for f in files[me::count]:\n"
	"    try:\n"
	"        py_compile.compile(f, dfile=os.path.relpath(f, tree), doraise=True,\n"
	"                           invalidation_mode=mode)\n"
	"    except Exception:\n"
	"        pass\n"
	"if me:\n"
	"    os._exit(0)\n"
	"while True:\n"
	"    try:\n"
	"        os.wait()\n"
	"    except ChildProcessError:\n"
	"        break\n";

/* What does not compile is left as it is: test suites are full of it. */
int install_compile(struct install_work *work, struct error *err)
{
	const struct install *install = work->install;
	struct installer_command command = { 0 };
	size_t n = 0;
	int r, status;

	if (!install->compile)
		return 0;
	report_phase(install->report, REPORT_BYTECODE, 0);
	command.argv[n++] = text_copy(install->installer.python);
	command.argv[n++] = text_copy("-S");
	command.argv[n++] = text_copy("-s");
	command.argv[n++] = text_copy("-c");
	command.argv[n++] = text_copy(compile_program);
	command.argv[n++] = text_copy(work->tree);
	command.argv[n++] = text_format("%u", install->threads ? install->threads : 1);
	command.environment[0] = text_copy("LC_ALL=C.UTF-8");
	if (install->installer.home)
		command.environment[1] = text_format("PYTHONHOME=%s", install->installer.home);
	r = run(work, &command, &status, err);
	installer_command_deinit(&command);
	return r;
}
