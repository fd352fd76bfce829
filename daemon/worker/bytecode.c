/*
 * The interpreter that compiles is never a program out of the archive: that would be
 * somebody's code running as us. A virtualenv's bin/python is a chain of links, and if
 * the file at its end lies outside the layer, and only root (or we) could have put it
 * there, it is run, isolated (-I -S: no site-packages, no environment, no user's
 * directory): it only parses. Otherwise there is no bytecode, and the note says why.
 *
 * Which files need it is found here, by the header of what is there: magic number,
 * flags, time and size of the source. The interpreters get lists of paths through pipes.
 * Each compiles what it can; a file that is no Python (there are such, in test suites)
 * is passed over.
 */
#include "daemon/worker/bytecode.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include "base/buffer.h"
#include "base/clock.h"
#include "base/fs.h"

#define MAX_COMPILERS 64
#define TIME_LIMIT_US (600 * UINT64_C(1000000))
#define HEADER_SIZE 16
#define HOW (RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS)

static const char ask_program[] =
	"import sys, importlib.util as u\n"
	"sys.stdout.write(sys.implementation.cache_tag + ' ' + u.MAGIC_NUMBER.hex())\n";

static const char compile_program[] =
	"import os, sys, py_compile, warnings\n"
	"warnings.simplefilter('ignore')\n"
	"mode = py_compile.PycInvalidationMode.TIMESTAMP\n"
	"for path in sys.stdin.buffer.read().split(b'\\0'):\n"
	"    if path:\n"
	"        try:\n"
	"            py_compile.compile(os.fsdecode(path), doraise=True, invalidation_mode=mode)\n"
	"        except (py_compile.PyCompileError, ValueError, RecursionError, MemoryError):\n"
	"            pass\n";

struct interpreter {
	char path[PATH_MAX];
	char tag[64];
	uint8_t magic[4];
};

struct source_file {
	const char *name; /* borrowed from the place */
	char *cached; /* owned; where its bytecode goes */
	int64_t mtime;
};

struct sources {
	struct source_file *rows;
	size_t count, allocated;
};

/* ---- the interpreter */

/* Nobody but root and we can have put it there. */
static bool is_trusted(const char *path)
{
	_cleanup_free_ char *at = text_copy(path);
	struct stat st;
	char *slash;

	if (stat(at, &st) || !S_ISREG(st.st_mode))
		return false;
	while (true) {
		if (stat(at, &st) || (st.st_uid != 0 && st.st_uid != geteuid()) || st.st_mode & 022)
			return false;
		slash = strrchr(at, '/');
		if (!slash || text_equal(at, "/"))
			return true;
		slash[slash == at] = 0;
	}
}

static bool is_inside(const char *path, const char *directory)
{
	size_t n = strlen(directory);

	return strncmp(path, directory, n) == 0 && path[n] == '/';
}

static bool resolve(struct bytecode *bytecode, const char *link, struct interpreter *ret)
{
	if (!realpath(link, ret->path)) {
		snprintf(bytecode->note, sizeof(bytecode->note),
			"no bytecode: its interpreter '%.150s' is not there, or not for the daemon",
			link);
		return false;
	}
	if (is_inside(ret->path, bytecode->directory)) {
		snprintf(bytecode->note, sizeof(bytecode->note),
			"no bytecode: its interpreter is part of the archive, and is not run");
		return false;
	}
	if (!is_trusted(ret->path) || access(ret->path, X_OK)) {
		snprintf(bytecode->note, sizeof(bytecode->note),
			"no bytecode: others than root could change its interpreter '%.150s'",
			ret->path);
		return false;
	}
	return true;
}

static bool find_in(struct bytecode *bytecode, const char *root, struct interpreter *ret)
{
	static const char *const names[] = { "python", "python3" };
	size_t i;

	for (i = 0; i < ARRAY_SIZE(names); i++) {
		_cleanup_free_ char *name = text_format(
			"%s%sbin/%s", root, *root ? "/" : "", names[i]);
		_cleanup_free_ char *link = text_format("%s/tree/%s", bytecode->directory, name);

		if (place_has(bytecode->place, name))
			return resolve(bytecode, link, ret);
	}
	snprintf(bytecode->note, sizeof(bytecode->note),
		"no bytecode: the virtualenv has no bin/python");
	return false;
}

/* A pyvenv.cfg at the top or one directory below. The place is sorted. */
static bool find_virtualenv(struct bytecode *bytecode, size_t count, char root[256])
{
	size_t i;

	for (i = 0; i < count; i++) {
		struct place_view view = place_get(bytecode->place, i);
		const char *slash = view.name ? strchr(view.name, '/') : NULL;
		size_t n = slash ? (size_t)(slash - view.name) : 0;

		if (!view.name || view.type != PLACE_FILE || n > 255)
			continue;
		if (!text_equal(slash ? slash + 1 : view.name, "pyvenv.cfg"))
			continue;
		memcpy(root, view.name, n);
		root[n] = 0;
		return true;
	}
	return false;
}

static bool find_interpreter(struct bytecode *bytecode, size_t count, struct interpreter *ret)
{
	static const char *const usual[] = { "/usr/local/bin/python3", "/usr/bin/python3" };
	char root[256];
	size_t i;

	if (find_virtualenv(bytecode, count, root))
		return find_in(bytecode, root, ret);
	for (i = 0; i < ARRAY_SIZE(usual) && bytecode->mode == BYTECODE_ALWAYS; i++)
		if (access(usual[i], X_OK) == 0)
			return resolve(bytecode, usual[i], ret);
	return false;
}

/* ---- running it */

static int spawn(const char *path, const char *program, int in, int out, pid_t *ret)
{
	char *const argv[] = { (char *)path, (char *)"-I", (char *)"-S", (char *)"-X",
		(char *)"utf8", (char *)"-c", (char *)program, NULL };
	char *const environment[] = { (char *)"PATH=/usr/bin:/bin", (char *)"LC_ALL=C.UTF-8",
		NULL };
	posix_spawn_file_actions_t actions;
	int r;

	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, in, 0);
	posix_spawn_file_actions_adddup2(&actions, out, 1);
	posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
	r = posix_spawn(ret, path, &actions, NULL, argv, environment);
	posix_spawn_file_actions_destroy(&actions);
	return -r;
}

/* Waits until it ends or its time is over; whether it ended well. */
static bool reap(pid_t pid, uint64_t until_us)
{
	int pidfd = (int)syscall(SYS_pidfd_open, pid, 0), status = -1;
	struct pollfd p = { .fd = pidfd, .events = POLLIN };
	uint64_t now = clock_now_us();

	if (pidfd < 0 || now >= until_us || poll(&p, 1, (int)((until_us - now) / 1000)) != 1)
		kill(pid, SIGKILL);
	cleanup_close(&pidfd);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return status == 0;
}

static bool ask(struct interpreter *interpreter)
{
	_cleanup_close_ int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	char answer[128] = "", hex[16];
	int out[2];
	ssize_t n;
	pid_t pid;

	if (null < 0 || pipe2(out, O_CLOEXEC))
		return false;
	if (spawn(interpreter->path, ask_program, null, out[1], &pid)) {
		close(out[0]);
		close(out[1]);
		return false;
	}
	close(out[1]);
	if (!reap(pid, clock_now_us() + 20 * 1000000)) {
		close(out[0]);
		return false;
	}
	n = read(out[0], answer, sizeof(answer) - 1);
	close(out[0]);
	return n > 0 && sscanf(answer, "%63s %15s", interpreter->tag, hex) == 2 &&
		hex_parse(hex, interpreter->magic, 4) == 0;
}

/* ---- which files */

/* pkg/a.py -> pkg/__pycache__/a.cpython-311.pyc */
static char *cached_name(const char *name, const char *tag)
{
	const char *slash = strrchr(name, '/'), *file = slash ? slash + 1 : name;

	return text_format("%.*s__pycache__/%.*s.%s.pyc", (int)(file - name), name,
		(int)(strlen(file) - 3), file, tag);
}

static uint32_t read_number(const uint8_t *at)
{
	return (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 |
		(uint32_t)at[3] << 24;
}

/* What is there was made by this interpreter from this file. Flags: 0 checks time and
 * size; others check a hash, or nothing, and are as good. */
static bool is_fresh(const struct bytecode *bytecode, const struct interpreter *interpreter,
	const char *cached, const struct place_view *view)
{
	_cleanup_close_ int fd = fs_openat2(bytecode->tree_fd, cached, O_RDONLY, 0, HOW);
	uint8_t header[HEADER_SIZE];

	if (fd < 0 || read(fd, header, sizeof(header)) != (ssize_t)sizeof(header))
		return false;
	if (memcmp(header, interpreter->magic, 4) != 0)
		return false;
	return read_number(header + 4) != 0 ||
		(read_number(header + 8) == (uint32_t)view->mtime &&
			read_number(header + 12) == (uint32_t)view->size);
}

static void add_source(struct sources *sources, const struct place_view *view, char *cached)
{
	if (sources->count == sources->allocated) {
		sources->allocated = sources->allocated ? sources->allocated * 2 : 256;
		sources->rows = realloc(sources->rows, sources->allocated * sizeof(*sources->rows));
		if (!sources->rows)
			abort();
	}
	sources->rows[sources->count++] = (struct source_file){ view->name, cached, view->mtime };
}

static void find_sources(const struct bytecode *bytecode, const struct interpreter *interpreter,
	size_t count, struct sources *ret)
{
	size_t i;

	for (i = 0; i < count; i++) {
		struct place_view view = place_get(bytecode->place, i);
		char *cached;

		if (!view.name || view.type != PLACE_FILE || !text_ends_with(view.name, ".py"))
			continue;
		cached = cached_name(view.name, interpreter->tag);
		if (is_fresh(bytecode, interpreter, cached, &view)) {
			free(cached);
			continue;
		}
		/* A stale one gives way; read-only files are replaced, not opened. */
		unlinkat(bytecode->tree_fd, cached, 0);
		add_source(ret, &view, cached);
	}
}

static void sources_deinit(struct sources *sources)
{
	size_t i;

	for (i = 0; i < sources->count; i++)
		free(sources->rows[i].cached);
	free(sources->rows);
}

/* ---- compiling */

/* Every @step-th path from @first on, into a file that an interpreter reads. */
static int write_list(
	const struct bytecode *bytecode, const struct sources *sources, size_t first, size_t step)
{
	_cleanup_buffer_ struct buffer list = { 0 };
	int fd = (int)syscall(SYS_memfd_create, "list", 1 /* MFD_CLOEXEC */);
	size_t i;

	if (fd < 0)
		return -errno;
	for (i = first; i < sources->count; i += step) {
		buffer_format(&list, "%s/tree/%s", bytecode->directory, sources->rows[i].name);
		buffer_append(&list, "", 1);
	}
	if (fs_write_all(fd, list.data, list.size) || lseek(fd, 0, SEEK_SET)) {
		close(fd);
		return -EIO;
	}
	return fd;
}

static void compile(struct bytecode *bytecode, const struct interpreter *interpreter,
	const struct sources *sources)
{
	_cleanup_close_ int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
	uint64_t until = clock_now_us() + TIME_LIMIT_US;
	size_t wanted = bytecode->threads, i, started = 0;
	pid_t pids[MAX_COMPILERS];
	bool well = true;

	wanted = wanted > MAX_COMPILERS ? MAX_COMPILERS : wanted;
	wanted = wanted > sources->count ? sources->count : wanted;
	for (i = 0; i < wanted; i++) {
		_cleanup_close_ int list = write_list(bytecode, sources, i, wanted);

		if (list < 0 || null < 0 ||
			spawn(interpreter->path, compile_program, list, null, &pids[started])) {
			well = false;
			break;
		}
		started++;
	}
	for (i = 0; i < started; i++)
		well &= reap(pids[i], until);
	if (!well)
		snprintf(bytecode->note, sizeof(bytecode->note),
			"some bytecode is missing: '%.150s' did not finish", interpreter->path);
}

/* What it made becomes part of the tree. */
static int take(struct bytecode *bytecode, const struct source_file *source, struct sha256 *sha256,
	struct error *err)
{
	_cleanup_close_ int fd = fs_openat2(bytecode->tree_fd, source->cached, O_RDONLY, 0, HOW);
	uint8_t buffer[65536], digest[SHA256_SIZE];
	uint64_t size = 0;
	struct stat st;
	ssize_t n;

	if (fd < 0) {
		place_forget(bytecode->place, source->cached);
		return 0;
	}
	while ((n = read(fd, buffer, sizeof(buffer))) > 0) {
		sha256_add(sha256, buffer, (size_t)n);
		size += (uint64_t)n;
	}
	sha256_end(sha256, digest);
	if (n < 0 || fstat(fd, &st) || !S_ISREG(st.st_mode) || fchmod(fd, 0444))
		return fail_errno(err, -errno, "INTERNAL_ERROR", "cannot read bytecode back");
	bytecode->compiled++;
	return place_add_made(
		bytecode->place, source->cached, digest, size, st.st_mtim.tv_sec, err);
}

int bytecode_make(struct bytecode *bytecode, struct error *err)
{
	_cleanup_(sources_deinit) struct sources sources = { 0 };
	_cleanup_(sha256_freep) struct sha256 *sha256 = sha256_new();
	struct interpreter interpreter;
	size_t i, count;
	int r = 0;

	if (bytecode->mode == BYTECODE_NEVER)
		return 0;
	count = place_sort(bytecode->place);
	if (!find_interpreter(bytecode, count, &interpreter))
		return 0;
	if (!ask(&interpreter)) {
		snprintf(bytecode->note, sizeof(bytecode->note),
			"no bytecode: '%.150s' does not run as a Python", interpreter.path);
		return 0;
	}
	find_sources(bytecode, &interpreter, count, &sources);
	if (!sources.count)
		return 0;
	report_phase(bytecode->report, REPORT_BYTECODE, 0);
	compile(bytecode, &interpreter, &sources);
	for (i = 0; i < sources.count && r == 0; i++)
		r = take(bytecode, &sources.rows[i], sha256, err);
	return r;
}
