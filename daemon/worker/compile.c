/*
 * An interpreter gets a list of paths and gives back, for each in turn, four bytes of
 * length and so much code; length 0 for what does not compile (test suites are full of
 * it). We put the header in front and write the file. So the interpreter, which parses
 * what anybody may have written, needs no right to write, and nothing half-made can be
 * left where others would find it.
 *
 * A file on which an interpreter dies is passed over: another one goes on behind it.
 */
#include "daemon/worker/compile.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>
#include "base/buffer.h"
#include "base/clock.h"
#include "base/fs.h"

#define MAX_COMPILERS 64
#define MAX_DEATHS 16 /* of one thread's interpreters */
#define MAX_CODE (256 << 20)
#define HEADER_SIZE 16

static const char program[] =
	"import gc, marshal, os, sys\n"
	"gc.disable()\n"
	"out = sys.stdout.buffer\n"
	"for path in sys.stdin.buffer.read().split(b'\\0')[:-1]:\n"
	"    try:\n"
	"        with open(path, 'rb') as file:\n"
	"            source = file.read()\n"
	"        code = compile(source, os.fsdecode(path), 'exec', dont_inherit=True)\n"
	"        code = marshal.dumps(code)\n"
	"    except Exception:\n"
	"        code = b''\n"
	"    out.write(len(code).to_bytes(4, 'little') + code)\n"
	"    out.flush()\n";

struct compiler {
	struct compile *compile;
	pthread_t thread;
	size_t at, step; /* of compile.files: the next, and from one to the next */
	struct sha256 *sha256;
	struct buffer code;
	int pipe; /* what it gives back */
	int r;
	struct error err;
};

/* ---- what an interpreter reads */

static int write_list(const struct compiler *compiler)
{
	const struct compile *compile = compiler->compile;
	_cleanup_close_ int fd = memfd_create("list", MFD_CLOEXEC);
	_cleanup_buffer_ struct buffer list = { 0 };
	size_t i;
	int r;

	if (fd < 0)
		return -errno;
	for (i = compiler->at; i < compile->count; i += compiler->step) {
		buffer_format(&list, "%s/%s", compile->tree, compile->files[i].name);
		buffer_append(&list, "", 1);
	}
	r = fs_write_all(fd, list.data, list.size);
	if (r == 0 && lseek(fd, 0, SEEK_SET) < 0)
		r = -errno;
	return r ? r : steal_fd(&fd);
}

/* ---- what it gives back */

/* Exactly @size bytes; -ETIMEDOUT, -EPIPE when it ended. */
static int read_bytes(struct compiler *compiler, uint8_t *to, size_t size)
{
	struct pollfd p = { .fd = compiler->pipe, .events = POLLIN };
	uint64_t now;
	ssize_t n;

	while (size) {
		now = clock_now_us();
		if (now >= compiler->compile->until_us ||
			poll(&p, 1, (int)((compiler->compile->until_us - now) / 1000) + 1) == 0)
			return -ETIMEDOUT;
		n = read(compiler->pipe, to, size);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n ? -errno : -EPIPE;
		to += n;
		size -= (size_t)n;
	}
	return 0;
}

static void put_number(uint8_t *to, uint32_t value)
{
	to[0] = (uint8_t)value;
	to[1] = (uint8_t)(value >> 8);
	to[2] = (uint8_t)(value >> 16);
	to[3] = (uint8_t)(value >> 24);
}

static int read_code(struct compiler *compiler)
{
	uint8_t length[4];
	size_t size;
	int r;

	compiler->code.size = 0;
	r = read_bytes(compiler, length, sizeof(length));
	if (r)
		return r;
	size = (size_t)length[0] | (size_t)length[1] << 8 | (size_t)length[2] << 16 |
		(size_t)length[3] << 24;
	if (size > MAX_CODE)
		return -EFBIG;
	if (!size)
		return 0;
	r = read_bytes(compiler, buffer_reserve(&compiler->code, size), size);
	compiler->code.size = size;
	return r;
}

static int write_code(struct compiler *compiler, struct compile_file *file)
{
	struct compile *compile = compiler->compile;
	uint8_t header[HEADER_SIZE] = { 0 };
	struct place_file out;
	int r;

	memcpy(header, compile->interpreter->magic, 4);
	put_number(header + 8, (uint32_t)file->mtime);
	put_number(header + 12, (uint32_t)file->size);
	place_file_init(&out, compile->place, file->entry, compiler->sha256);
	r = place_file_write(&out, header, sizeof(header), &compiler->err);
	if (r == 0)
		r = place_file_write(
			&out, compiler->code.data, compiler->code.size, &compiler->err);
	if (r == 0)
		r = place_file_end(&out, &compiler->err);
	place_file_abandon(&out);
	file->is_made = r == 0;
	return r;
}

/* ---- one interpreter after another */

/* Until the list is done, the interpreter ends, or a file cannot be written. */
static int take_all(struct compiler *compiler)
{
	struct compile *compile = compiler->compile;
	int r = 0;

	while (compiler->at < compile->count) {
		struct compile_file *file = &compile->files[compiler->at];

		r = read_code(compiler);
		if (r)
			return r;
		if (compiler->code.size)
			compiler->r = write_code(compiler, file);
		if (compiler->r)
			return compiler->r;
		report_add(compile->report, file->size, 1);
		compiler->at += compiler->step;
	}
	return 0;
}

static int run_one(struct compiler *compiler)
{
	const struct compile *compile = compiler->compile;
	_cleanup_close_ int list = write_list(compiler);
	struct interpreter_run run = { program, list, -1, compile->keep_fd };
	int out[2], r;
	pid_t pid;

	if (list < 0 || pipe2(out, O_CLOEXEC))
		return list < 0 ? list : -errno;
	run.out = out[1];
	r = interpreter_start(compile->interpreter, &run, &pid);
	close(out[1]);
	if (r == 0) {
		compiler->pipe = out[0];
		r = take_all(compiler);
		if (r)
			kill(pid, SIGKILL);
		interpreter_end(pid, compile->until_us);
	}
	close(out[0]);
	return r;
}

static void *work(void *data)
{
	struct compiler *compiler = data;
	struct compile *compile = compiler->compile;
	int deaths = 0, r;

	while (compiler->at < compile->count) {
		r = run_one(compiler);
		if (compiler->r || r == 0)
			break;
		if (r != -EPIPE && r != -EFBIG)
			break;
		if (++deaths > MAX_DEATHS)
			break;
		compiler->at += compiler->step;
	}
	return NULL;
}

static int compiler_end(struct compiler *compiler, struct error *err)
{
	if (compiler->r == 0 && compiler->at < compiler->compile->count)
		compiler->compile->is_cut_short = true;
	sha256_free(compiler->sha256);
	buffer_deinit(&compiler->code);
	if (compiler->r)
		*err = compiler->err;
	return compiler->r;
}

int compile_run(struct compile *compile, struct error *err)
{
	struct compiler compilers[MAX_COMPILERS];
	size_t wanted = compile->threads, i, started;
	int r = 0, one;

	wanted = wanted > MAX_COMPILERS ? MAX_COMPILERS : wanted;
	wanted = wanted > compile->count ? compile->count : wanted;
	for (i = 0; i < wanted; i++)
		compilers[i] = (struct compiler){
			.compile = compile,
			.at = i,
			.step = wanted,
			.sha256 = sha256_new(),
		};
	for (started = 1; started < wanted; started++)
		if (pthread_create(&compilers[started].thread, NULL, work, &compilers[started]))
			break;
	/* What no thread was found for is left out, and counted as such. */
	if (wanted)
		work(&compilers[0]);
	for (i = 1; i < started && i < wanted; i++)
		pthread_join(compilers[i].thread, NULL);
	for (i = 0; i < wanted; i++) {
		one = compiler_end(&compilers[i], err);
		r = r ? r : one;
	}
	return r;
}
