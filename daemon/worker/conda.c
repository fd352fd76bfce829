/*
 * bin/conda-unpack is a Python script that conda-pack generates. It holds a table of the
 * files that name the prefix of the build, one to a line,
 *
 *	_prefix_records = [
 *	('lib/libpython3.11.so.1.0', '/opt/anaconda1anaconda2…', 'binary'),
 *	("lib/it's.pc", '/home/u/env', 'text')
 *	]
 *
 * and replaces that prefix by where it lies itself (prefix.h). So it needs a Python, its
 * own; we need only the table. It is as hostile as the rest of the archive: a name in it
 * is looked up among what the archive brought, so that it cannot lead out; each file is
 * changed once for a table; and what comes of it is held to the limits.
 *
 * conda-unpack gives up in the middle where a binary has no room for a path longer than
 * the one that was built in (conda's own placeholders have 255 bytes). Such a file is left
 * as it is, and told of, for most others work without it. So is a record that we do not
 * understand. What is not there, or is a link, needs nothing.
 *
 * A .py file gets another time, for its bytecode holds the old path and may be taken for
 * fresh where both are equally long.
 */
#include "daemon/worker/conda.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include "base/buffer.h"
#include "base/fs.h"
#include "daemon/worker/prefix.h"

#define HOW (RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS)
#define PROGRAM "bin/conda-unpack"
#define PROGRAM_LIMIT (64 << 20) /* a record has some 300 bytes, an environment 100,000 files */
#define TABLE_START "\n_prefix_records = [\n"
#define CHUNK_SIZE (256 * 1024)

struct record {
	const char *name, *prefix, *mode; /* borrowed from the program's text */
};

struct table {
	char *text; /* of the program; owned; NULL: it is empty, or too large */
	struct record *rows; /* owned; sorted by name */
	size_t count, allocated;
};

struct mapping {
	void *data; /* NULL for an empty file */
	size_t size;
	int64_t mtime;
};

struct output {
	struct place_file file;
	struct buffer chunk;
};

struct finishing {
	struct conda *conda;
	const char *root; /* "" or "env/" */
	char *prefix; /* absolute; owned */
	struct sha256 *sha256;
	size_t left;
};

/* ---- the table */

/* A Python string, made a C string where it is; NULL when it is none that is known. */
static char *parse_string(char **at)
{
	char *from = *at, *to = from, quote = *from, c;

	if (quote != '\'' && quote != '"')
		return NULL;
	for (from++; (c = *from) != quote; from++) {
		if (c == '\\' && !strchr("\\'\"", (c = *++from)))
			return NULL;
		if (!c)
			return NULL;
		*to++ = c;
	}
	*to = 0;
	to = *at;
	*at = from + 1;
	return to;
}

static bool skip(char **at, const char *what)
{
	if (!text_starts_with(*at, what))
		return false;
	*at += strlen(what);
	return true;
}

static bool parse_record(char *line, struct record *ret)
{
	if (!skip(&line, "(") || !(ret->name = parse_string(&line)) || !skip(&line, ", ") ||
		!(ret->prefix = parse_string(&line)) || !skip(&line, ", ") ||
		!(ret->mode = parse_string(&line)) || !skip(&line, ")"))
		return false;
	skip(&line, ",");
	return !*line && *ret->prefix &&
		(text_equal(ret->mode, "text") || text_equal(ret->mode, "binary"));
}

static void add_record(struct table *table, const struct record *record)
{
	if (table->count == table->allocated) {
		table->allocated = table->allocated ? table->allocated * 2 : 256;
		table->rows = realloc(table->rows, table->allocated * sizeof(*table->rows));
		if (!table->rows)
			abort();
	}
	table->rows[table->count++] = *record;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct record *)a)->name, ((const struct record *)b)->name);
}

/* The first that is left is named, and why. */
static void leave(struct finishing *finishing, const char *what, const char *why)
{
	if (finishing->left++ == 0)
		snprintf(finishing->conda->note, sizeof(finishing->conda->note),
			"conda-unpack is not done wholly: '%.120s' %s", what, why);
}

/* Takes table->text apart. */
static void table_parse(struct table *table, struct finishing *finishing)
{
	char *rest = table->text ? strstr(table->text, TABLE_START) : NULL, *line;
	struct record record;

	if (!rest) {
		leave(finishing, PROGRAM, "holds no table of files");
		return;
	}
	rest += strlen(TABLE_START);
	while ((line = strsep(&rest, "\n")) && !text_equal(line, "]"))
		if (*line && parse_record(line, &record))
			add_record(table, &record);
		else if (*line)
			leave(finishing, PROGRAM, "has a record that is not understood");
	if (table->count)
		qsort(table->rows, table->count, sizeof(*table->rows), by_name);
}

static void table_deinit(struct table *table)
{
	free(table->text);
	free(table->rows);
}

/* ---- one file */

static int flush(struct output *out, struct error *err)
{
	size_t n = out->chunk.size;

	out->chunk.size = 0;
	return n ? place_file_write(&out->file, out->chunk.data, n, err) : 0;
}

static int write_piece(void *data, const void *bytes, size_t size, struct error *err)
{
	struct output *out = data;
	size_t n;
	int r = 0;

	for (; r == 0 && size; size -= n) {
		n = CHUNK_SIZE - out->chunk.size;
		n = n < size ? n : size;
		buffer_append(&out->chunk, bytes, n);
		bytes = (const uint8_t *)bytes + n;
		if (out->chunk.size == CHUNK_SIZE)
			r = flush(out, err);
	}
	return r;
}

static int replace(struct finishing *finishing, const char *name, const struct mapping *old,
	const struct prefix *prefix, struct error *err)
{
	struct conda *conda = finishing->conda;
	struct output out = { 0 };
	int64_t mtime = old->mtime;
	struct place_entry *entry;
	int r;

	if (!prefix->is_binary && text_ends_with(name, ".py"))
		mtime ^= 1;
	r = place_replace(conda->place, name, mtime, &entry, err);
	if (r)
		return r;
	place_file_init(&out.file, conda->place, entry, finishing->sha256);
	r = prefix_replace(prefix, old->data, old->size, write_piece, &out, err);
	if (r == 0)
		r = flush(&out, err);
	if (r == 0)
		r = place_file_end(&out.file, err);
	place_file_abandon(&out.file);
	buffer_deinit(&out.chunk);
	conda->rewritten += r == 0;
	return r;
}

/* The content of a file of the tree, to be unmapped; NULL and 0 when there is none. */
static int map_file(
	const struct conda *conda, const char *name, struct mapping *ret, struct error *err)
{
	_cleanup_close_ int fd = fs_openat2(conda->tree_fd, name, O_RDONLY, 0, HOW);
	struct stat st;

	if (fd < 0 || fstat(fd, &st))
		return fail_errno(err, fd < 0 ? fd : -errno, NULL, "cannot read '%s/tree/%s'",
			conda->directory, name);
	*ret = (struct mapping){ .size = (size_t)st.st_size, .mtime = st.st_mtime };
	if (st.st_size)
		ret->data = mmap(NULL, ret->size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (ret->data == MAP_FAILED)
		return fail_errno(
			err, -errno, NULL, "cannot map '%s/tree/%s'", conda->directory, name);
	return 0;
}

static void unmap(struct mapping *mapping)
{
	if (mapping->data)
		munmap(mapping->data, mapping->size);
}

static int finish_file(struct finishing *finishing, const char *name, const struct prefix *prefix,
	struct error *err)
{
	struct mapping mapping;
	int r;

	r = map_file(finishing->conda, name, &mapping, err);
	if (r)
		return r;
	if (mapping.size && prefix_occurs(prefix, mapping.data, mapping.size)) {
		if (prefix_fits(prefix))
			r = replace(finishing, name, &mapping, prefix, err);
		else
			leave(finishing, name, "has no room for the path of the layer");
	}
	unmap(&mapping);
	return r;
}

/* ---- all */

static int finish_table(struct finishing *finishing, const struct table *table, struct error *err)
{
	size_t i;
	int r = 0;

	for (i = 0; i < table->count && r == 0; i++) {
		const struct record *record = &table->rows[i];
		const struct prefix prefix = {
			.from = record->prefix,
			.to = finishing->prefix,
			.is_binary = text_equal(record->mode, "binary"),
		};
		_cleanup_free_ char *name = text_format("%s%s", finishing->root, record->name);

		if (i && text_equal(record->name, record[-1].name))
			continue;
		if (place_type_of(finishing->conda->place, name) == PLACE_FILE)
			r = finish_file(finishing, name, &prefix, err);
	}
	return r;
}

/* @name is its PROGRAM. */
static int finish_environment(struct finishing *finishing, const char *name, struct error *err)
{
	_cleanup_(table_deinit) struct table table = { 0 };
	struct mapping program;
	int r;

	r = map_file(finishing->conda, name, &program, err);
	if (r)
		return r;
	if (program.size && program.size <= PROGRAM_LIMIT)
		table.text = text_format("%.*s", (int)program.size, (char *)program.data);
	unmap(&program);
	table_parse(&table, finishing);
	return finish_table(finishing, &table, err);
}

int conda_finish(struct conda *conda, struct error *err)
{
	_cleanup_(sha256_freep) struct sha256 *sha256 = sha256_new();
	struct finishing finishing = { .conda = conda, .sha256 = sha256 };
	size_t i, count = place_sort(conda->place);
	int r = 0;

	/* What is replaced comes behind these. */
	for (i = 0; i < count && r == 0; i++) {
		struct place_view view = place_get(conda->place, i);
		_cleanup_free_ char *root = NULL, *meta = NULL, *prefix = NULL;
		size_t n;

		if (!view.name || view.type != PLACE_FILE || !text_ends_with(view.name, PROGRAM))
			continue;
		n = strlen(view.name) - strlen(PROGRAM);
		if (n && view.name[n - 1] != '/')
			continue;
		root = text_format("%.*s", (int)n, view.name);
		meta = text_format("%sconda-meta", root);
		if (place_type_of(conda->place, meta) != PLACE_DIRECTORY)
			continue;
		prefix = text_format("%s/tree/%s", conda->directory, root);
		prefix[strlen(prefix) - 1] = 0;
		finishing.root = root;
		finishing.prefix = prefix;
		r = finish_environment(&finishing, view.name, err);
	}
	return r;
}
