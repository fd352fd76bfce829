/*
 *	lock -> (copy) -> map -> tree/ from the source, its digest meanwhile in a thread of
 *	its own -> links -> paths in files -> bytecode -> modes and times -> manifest -> who may enter
 *
 * The interpreters share the lock's descriptor: it is gone when this process and they are,
 * and not before, whoever else has the directory open.
 */
#include "daemon/worker/extract.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>
#include "daemon/worker/conda.h"
#include "daemon/worker/digest.h"
#include "daemon/worker/layer.h"
#include "daemon/worker/manifest.h"
#include "daemon/worker/plain.h"
#include "daemon/worker/scripts.h"
#include "daemon/worker/tar.h"
#include "daemon/worker/zip.h"

/* ---- the digest, beside the extraction */

struct hashing {
	struct extract *extract;
	pthread_t thread;
	bool is_running;
	int r;
	struct error err;
};

/* A file's digest that is known is computed again only where the content could have been
 * changed in between without a trace: then it is the copy's, which cannot. A directory's
 * is that of what was copied, always. */
static bool wants_hash(const struct extract *extract)
{
	return extract->hash ||
		(extract->expected_sha256 &&
			(extract->copy_first || extract->kind == EXTRACT_DIRECTORY));
}

static int check_digest(struct extract *extract, struct error *err)
{
	if (extract->hash)
		report_digested(extract->report, &extract->source->identity, extract->digest);
	if (extract->expected_sha256 &&
		memcmp(extract->expected_sha256, extract->digest, SHA256_SIZE) != 0)
		return fail(err, -ESTALE, "SOURCE_CHANGED", "'%s' changed while it was being read",
			extract->source->path);
	return 0;
}

static void *hash(void *data)
{
	struct hashing *hashing = data;
	struct extract *extract = hashing->extract;

	hashing->r = digest_file(extract->source, NULL, extract->digest, &hashing->err);
	if (hashing->r == 0)
		hashing->r = check_digest(extract, &hashing->err);
	return NULL;
}

static int hashing_start(struct hashing *hashing, struct error *err)
{
	if (!wants_hash(hashing->extract) || hashing->extract->kind == EXTRACT_DIRECTORY)
		return 0;
	if (pthread_create(&hashing->thread, NULL, hash, hashing))
		return fail(err, -EAGAIN, "INTERNAL_ERROR", "cannot start a thread");
	hashing->is_running = true;
	return 0;
}

static int hashing_end(struct hashing *hashing, struct error *err)
{
	if (!hashing->is_running)
		return 0;
	pthread_join(hashing->thread, NULL);
	hashing->is_running = false;
	if (hashing->r)
		*err = hashing->err;
	return hashing->r;
}

/* ---- the tree */

static int copy_directory(
	struct extract *extract, const struct archive_input *input, struct error *err)
{
	int r;

	extract->format = "directory";
	r = plain_copy_directory(input, extract->peer, extract->name, extract->digest, err);
	return r || !wants_hash(extract) ? r : check_digest(extract, err);
}

/* What people hand in by mistake, or hope that we take. */
static int fail_unrecognised(const struct source *source, struct error *err)
{
	static const struct {
		const char *magic, *what;
	} known[] = {
		{ "7z\xbc\xaf\x27\x1c", "a 7z archive" },
		{ "Rar!", "a rar archive" },
		{ "\x7f"
		  "ELF",
			"a program (ELF)" },
		{ "#!", "a script" },
		{ "hsqs", "a squashfs image" },
		{ "!<arch>\n", "an ar archive (deb)" },
		{ "\x04\x22\x4d\x18", "compressed by lz4" },
		{ "<!DOCTYPE", "a web page" },
		{ "<html", "a web page" },
	};
	const char *what = "of no kind that is known";
	size_t i, n;

	for (i = 0; i < ARRAY_SIZE(known); i++) {
		n = strlen(known[i].magic);
		if (source->size >= n && memcmp(source->data, known[i].magic, n) == 0)
			what = known[i].what;
	}
	return fail(err, -EINVAL, "ARCHIVE_UNRECOGNISED",
		"'%s' is %s, not a zip, a tar, or a tar with gzip, bzip2, xz or zstd", source->path,
		what);
}

static int extract_archive(
	struct extract *extract, const struct archive_input *input, struct error *err)
{
	if (!input->source->size)
		return fail(err, -EINVAL, "ARCHIVE_EMPTY", "'%s' is empty, and no archive",
			input->source->path);
	/* What begins as a tar, or compressed, may well end in a zip: that is an entry. */
	if (tar_recognise(input->source))
		return tar_extract(input, &extract->format, err);
	extract->format = "zip";
	if (zip_recognise(input->source))
		return zip_extract(input, err);
	return fail_unrecognised(input->source, err);
}

static int fill_tree(struct extract *extract, struct place *place, struct error *err)
{
	struct archive_input input = {
		.source = extract->source,
		.place = place,
		.report = extract->report,
		.threads = extract->threads ? extract->threads : 1,
	};

	switch (extract->kind) {
	case EXTRACT_ARCHIVE:
		return extract_archive(extract, &input, err);
	case EXTRACT_FILE:
		extract->format = "file";
		return plain_copy_file(&input, extract->name, err);
	case EXTRACT_DIRECTORY:
		return copy_directory(extract, &input, err);
	}
	abort();
}

/* What depends on where the tree is. */
static int finish_paths(
	struct extract *extract, struct place *place, int tree_fd, struct error *err)
{
	struct scripts scripts = { place, extract->directory, tree_fd, 0 };
	struct conda conda = { place, extract->directory, tree_fd, 0, "" };
	int r;

	if (extract->kind != EXTRACT_ARCHIVE)
		return 0;
	r = scripts_finish(&scripts, err);
	if (r == 0)
		r = conda_finish(&conda, err);
	memcpy(extract->note, conda.note, sizeof(extract->note));
	return r;
}

static int make_bytecode(
	struct extract *extract, struct place *place, int tree_fd, struct error *err)
{
	struct bytecode bytecode = {
		.place = place,
		.report = extract->report,
		.directory = extract->directory,
		.tree_fd = tree_fd,
		.mode = extract->bytecode,
		.threads = extract->threads ? extract->threads : 1,
		.keep_fd = extract->lock_fd,
	};
	int r;

	if (extract->kind != EXTRACT_ARCHIVE)
		return 0;
	r = bytecode_make(&bytecode, err);
	extract->compiled = bytecode.compiled;
	if (!*extract->note)
		memcpy(extract->note, bytecode.note, sizeof(extract->note));
	return r;
}

static int make_tree(struct extract *extract, struct error *err)
{
	_cleanup_(place_freep) struct place *place = NULL;
	_cleanup_close_ int tree_fd = -1;
	int r;

	if (mkdirat(extract->directory_fd, "tree", 0700))
		return fail_errno(err, -errno, errno == ENOSPC ? "NO_SPACE" : NULL,
			"cannot make '%s/tree'", extract->directory);
	tree_fd = fs_open_directory(extract->directory_fd, "tree");
	if (tree_fd < 0)
		return fail_errno(err, tree_fd, NULL, "cannot open '%s/tree'", extract->directory);
	extract->limits.source_bytes = extract->source->identity.size;
	place = place_new(tree_fd, extract->source->path, &extract->limits);
	r = fill_tree(extract, place, err);
	if (r == 0)
		r = place_finish_links(place, err);
	if (r == 0)
		r = finish_paths(extract, place, tree_fd, err);
	if (r == 0)
		r = make_bytecode(extract, place, tree_fd, err);
	if (r)
		return r;
	report_phase(extract->report, REPORT_FINISH, place_get_bytes(place));
	extract->bytes = place_get_bytes(place);
	extract->entries = place_get_entries(place);
	r = place_finish_directories(place, err);
	return r ? r : manifest_write(extract->directory_fd, place, extract->header, err);
}

/* ---- all of it */

static int prepare_source(struct extract *extract, struct error *err)
{
	int r = 0;

	if (extract->kind == EXTRACT_DIRECTORY)
		return 0;
	if (extract->copy_first)
		r = source_copy(
			extract->source, extract->directory_fd, extract->limits.reserve_bytes, err);
	if (r == 0 && extract->source->identity.size)
		r = source_map(extract->source, err);
	return r;
}

/* Whatever went wrong: if the source is another by now, that is why. */
static int check_source(struct extract *extract, struct hashing *hashing, int r, struct error *err)
{
	struct error changed = { 0 };

	if (hashing_end(hashing, &changed) == 0 && extract->kind != EXTRACT_DIRECTORY)
		source_check(extract->source, &changed);
	if (!changed.r)
		return r;
	*err = changed;
	return changed.r;
}

int extract_run(struct extract *extract, struct error *err)
{
	const struct layer_access access = {
		.directory_fd = extract->directory_fd,
		.directory = extract->directory,
		.is_all = extract->access_all,
		.uid = extract->access_uid,
	};
	struct hashing hashing = { .extract = extract };
	int r;

	r = layer_lock(extract->directory_fd, extract->directory, &extract->lock_fd, err);
	if (r == 0)
		r = prepare_source(extract, err);
	if (r == 0)
		r = hashing_start(&hashing, err);
	if (r)
		return r;
	r = make_tree(extract, err);
	r = check_source(extract, &hashing, r, err);
	return r ? r : layer_set_access(&access, err);
}
