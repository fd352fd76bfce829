#include <errno.h>
#include "proto/wire-internal.h"
#include "proto/wire-file.h"

/* ---- out */

/* @rows and @pointers have room for all. */
static void from_uploads(const struct job_upload *uploads, size_t count,
	Pyenvd__Worker__Uploads__File *rows, Pyenvd__Worker__Uploads__File **pointers)
{
	size_t i;

	for (i = 0; i < count; i++) {
		pyenvd__worker__uploads__file__init(&rows[i]);
		rows[i].name = uploads[i].name;
		rows[i].file = uploads[i].file;
		pointers[i] = &rows[i];
	}
}

static Pyenvd__Worker__Uploads *from_all_uploads(
	const struct job_uploads *in, struct wire_requirements *ret)
{
	Pyenvd__Worker__Uploads *uploads = &ret->uploads;
	size_t count = in->file_count + in->package_count;

	ret->rows = new0_array(Pyenvd__Worker__Uploads__File, count);
	ret->pointers = new0_array(Pyenvd__Worker__Uploads__File *, count);
	from_uploads(in->files, in->file_count, ret->rows, ret->pointers);
	from_uploads(in->packages, in->package_count, ret->rows + in->file_count,
		ret->pointers + in->file_count);
	pyenvd__worker__uploads__init(uploads);
	uploads->n_files = in->file_count;
	uploads->files = ret->pointers;
	uploads->has_packages = in->has_packages;
	uploads->n_packages = in->package_count;
	uploads->packages = ret->pointers + in->file_count;
	return uploads;
}

Pyenvd__Worker__Requirements *wire_from_requirements(
	const struct job_requirements *in, struct wire_requirements *ret)
{
	*ret = (struct wire_requirements){ 0 };
	pyenvd__worker__requirements__init(&ret->message);
	ret->message.path = (char *)in->path;
	/* What is not there is empty in a message. */
	ret->message.packages = (char *)(in->packages ? in->packages : "");
	ret->message.threads = in->threads;
	if (in->uploads)
		ret->message.uploads = from_all_uploads(in->uploads, ret);
	return &ret->message;
}

void wire_requirements_deinit(struct wire_requirements *requirements)
{
	free(requirements->rows);
	free(requirements->pointers);
}

/* ---- and back */

static const char *keep(struct wire_kept *kept, char *text)
{
	kept->texts[kept->count++] = text;
	return text;
}

static int to_file(const Pyenvd__Worker__RequirementsRead__File *from, struct job_file *ret)
{
	if (from->sha256.len != SHA256_SIZE)
		return -EBADMSG;
	memcpy(ret->sha256, from->sha256.data, SHA256_SIZE);
	wire_file_to(from->identity, &ret->identity);
	ret->path = from->path;
	ret->name = from->name;
	return 0;
}

static int to_files(const Pyenvd__Worker__RequirementsRead *read, struct job_result *result,
	struct wire_kept *kept)
{
	struct job_file *file = kept->files;
	size_t i;
	int r = 0;

	for (i = 0; i < read->n_files && r == 0; i++)
		r = to_file(read->files[i], file++);
	if (r == 0 && *read->directory->path) {
		wire_file_to(read->directory->identity, &file->identity);
		file++->path = read->directory->path;
	}
	for (i = 0; i < read->n_packages && r == 0; i++, file++) {
		const char *name = read->packages[i]->path;

		r = to_file(read->packages[i], file);
		file->name = keep(kept, text_format("packages/%s", name));
		file->path = keep(kept, text_format("%s/%s", read->directory->path, name));
	}
	result->files = kept->files;
	result->file_count = (size_t)(file - kept->files);
	return r;
}

int wire_to_read(const Pyenvd__Worker__RequirementsRead *read, struct job_result *result,
	struct wire_kept *kept)
{
	if (read->sha256.len != SHA256_SIZE || !read->directory)
		return -EBADMSG;
	memcpy(result->sha256, read->sha256.data, SHA256_SIZE);
	result->requirement_count = read->count;
	result->is_pinned = read->is_pinned;
	result->needs_pip = read->needs_pip;
	result->specifiers = read->specifiers;
	wire_kept_deinit(kept);
	kept->files = new0_array(struct job_file, read->n_files + 1 + read->n_packages);
	kept->texts = new0_array(char *, 2 * read->n_packages);
	return to_files(read, result, kept);
}
