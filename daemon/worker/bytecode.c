/*
 * Which files need bytecode is found here, by the header of what is there: magic number,
 * flags, time and size of the source. Who compiles is interpreter.c's business, how is
 * compile.c's.
 */
#include "daemon/worker/bytecode.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/fs.h"
#include "daemon/worker/compile.h"
#include "daemon/worker/virtualenv.h"

#define TIME_LIMIT_US (600 * UINT64_C(1000000))
#define HEADER_SIZE 16
#define HOW (RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS)

/* Where nothing in the archive says which Python it is for. */
static const char *const usual[] = { "/usr/local/bin/python3", "/usr/bin/python3" };

struct files {
	struct compile_file *rows;
	size_t count, allocated;
	uint64_t bytes; /* of all sources */
};

/* ---- who compiles */

/* -ENOENT without words: there is nothing to be done. @root: what is to be compiled. */
static int find_interpreter(const struct bytecode *bytecode, size_t count, char root[256],
	struct interpreter *ret, struct error *err)
{
	_cleanup_free_ char *link = NULL;
	const char *python;
	size_t i;

	*root = 0;
	if (virtualenv_find(bytecode->place, count, root)) {
		python = virtualenv_find_python(bytecode->place, count, root);
		if (!python)
			return fail(err, -ENOENT, NULL,
				"no bytecode: the virtualenv has no bin/python");
		link = text_format("%s/tree/%s", bytecode->directory, python);
	}
	if (bytecode->mode == BYTECODE_ALWAYS)
		*root = 0;
	for (i = 0; !link && i < ARRAY_SIZE(usual) && bytecode->mode == BYTECODE_ALWAYS; i++)
		if (access(usual[i], X_OK) == 0)
			link = text_copy(usual[i]);
	if (!link)
		return -ENOENT;
	return interpreter_find(link, bytecode->directory, ret, err);
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
	_cleanup_close_ int fd = -1;
	uint8_t header[HEADER_SIZE];

	if (place_type_of(bytecode->place, cached) != PLACE_FILE)
		return false;
	fd = fs_openat2(bytecode->tree_fd, cached, O_RDONLY, 0, HOW);
	if (fd < 0 || read(fd, header, sizeof(header)) != (ssize_t)sizeof(header))
		return false;
	if (memcmp(header, interpreter->magic, 4) != 0)
		return false;
	return read_number(header + 4) != 0 ||
		(read_number(header + 8) == (uint32_t)view->mtime &&
			read_number(header + 12) == (uint32_t)view->size);
}

static void add_file(struct files *files, const struct place_view *view, struct place_entry *entry)
{
	if (files->count == files->allocated) {
		files->allocated = files->allocated ? files->allocated * 2 : 256;
		files->rows = realloc(files->rows, files->allocated * sizeof(*files->rows));
		if (!files->rows)
			abort();
	}
	files->rows[files->count++] = (struct compile_file){
		.name = view->name,
		.entry = entry,
		.mtime = view->mtime,
		.size = view->size,
	};
	files->bytes += view->size;
}

static int find_files(const struct bytecode *bytecode, const struct interpreter *interpreter,
	size_t count, const char *root, struct files *ret, struct error *err)
{
	struct place_entry *entry;
	size_t i;
	int r;

	for (i = 0; i < count; i++) {
		struct place_view view = place_get(bytecode->place, i);
		_cleanup_free_ char *cached = NULL;

		if (!view.name || view.type != PLACE_FILE || !text_ends_with(view.name, ".py") ||
			!text_starts_with(view.name, root))
			continue;
		cached = cached_name(view.name, interpreter->tag);
		if (is_fresh(bytecode, interpreter, cached, &view))
			continue;
		r = place_add_generated(bytecode->place, cached, view.mtime, &entry, err);
		if (r < 0)
			return r;
		if (r != PLACE_E_OCCUPIED)
			add_file(ret, &view, entry);
	}
	return 0;
}

static int by_size(const void *a, const void *b)
{
	const struct compile_file *x = a, *y = b;

	if (x->size != y->size)
		return x->size < y->size ? 1 : -1;
	return strcmp(x->name, y->name);
}

/* ---- all */

/* The largest first, so that the interpreters end together. */
static int compile(struct bytecode *bytecode, const struct interpreter *interpreter,
	struct files *files, struct error *err)
{
	_cleanup_free_ char *tree = text_format("%s/tree", bytecode->directory);
	struct compile compile = {
		.interpreter = interpreter,
		.place = bytecode->place,
		.report = bytecode->report,
		.tree = tree,
		.files = files->rows,
		.count = files->count,
		.threads = bytecode->threads,
		.keep_fd = bytecode->keep_fd,
		.until_us = clock_now_us() + TIME_LIMIT_US,
	};
	size_t i;
	int r;

	qsort(files->rows, files->count, sizeof(*files->rows), by_size);
	report_phase(bytecode->report, REPORT_BYTECODE, files->bytes);
	r = compile_run(&compile, err);
	for (i = 0; i < files->count; i++)
		if (files->rows[i].is_made)
			bytecode->compiled++;
		else
			place_drop(bytecode->place, files->rows[i].entry);
	if (compile.is_cut_short)
		snprintf(bytecode->note, sizeof(bytecode->note),
			"some bytecode is missing: '%.150s' did not finish", interpreter->path);
	return r;
}

int bytecode_make(struct bytecode *bytecode, struct error *err)
{
	struct interpreter interpreter;
	struct files files = { 0 };
	struct error why = { 0 };
	char root[256];
	size_t count;
	int r;

	if (bytecode->mode == BYTECODE_NEVER)
		return 0;
	count = place_sort(bytecode->place);
	if (find_interpreter(bytecode, count, root, &interpreter, &why)) {
		snprintf(bytecode->note, sizeof(bytecode->note), "%.250s", why.text);
		return 0;
	}
	r = find_files(bytecode, &interpreter, count, root, &files, err);
	if (r == 0 && files.count)
		r = compile(bytecode, &interpreter, &files, err);
	free(files.rows);
	return r;
}
