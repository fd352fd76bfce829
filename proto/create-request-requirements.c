/*
 * Requirements that were uploaded are told by names, which are looked up and never opened:
 * so any will do that can be met when the files are read.
 */
#include <errno.h>
#include "proto/create-request.h"
#include "proto/requirements-name.h"
#include "proto/requirements-spec.h"

#define DEFAULT_NAME "requirements.txt"
#define MAX_NAME 255

static int refuse_name(const char *name, const char *field, const char *what, struct error *err)
{
	return fail(err, -EINVAL, "REQUEST_INVALID", "%s: the name '%s' %s", field, name, what);
}

static int check_file_name(const char *name, const char *field, struct error *err)
{
	if (!*name || strchr(name, '/') || text_equal(name, ".") || text_equal(name, ".."))
		return refuse_name(name, field, "is not a file name", err);
	return spec_check_length(name, MAX_NAME, field, err);
}

static int check_include(const char *name, const char *field, struct error *err)
{
	_cleanup_free_ char *normal = requirements_name_join(DEFAULT_NAME, name);

	if (!*name || !text_equal(name, normal))
		return refuse_name(name, field,
			"is not that of a file as seen from the requirements file's directory",
			err);
	return spec_check_length(name, PATH_MAX - 1, field, err);
}

static int check_package(const char *name, const char *field, struct error *err)
{
	int r = check_file_name(name, field, err);

	if (r == 0 && !requirements_spec_is_archive(name, strlen(name)))
		r = refuse_name(name, field, "is not that of a package", err);
	return r;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct spec_upload *)a)->name, ((const struct spec_upload *)b)->name);
}

/* Sorts what has no order. */
static int check_twice(
	struct spec_upload *uploads, size_t count, const char *field, struct error *err)
{
	size_t i;

	if (count)
		qsort(uploads, count, sizeof(*uploads), by_name);
	for (i = 1; i < count; i++)
		if (text_equal(uploads[i - 1].name, uploads[i].name))
			return refuse_name(uploads[i].name, field, "is given twice", err);
	return 0;
}

/* Adds to *@count of @ret, which has room. */
static int to_uploads(Pyenvd__V1__NamedArtifact *const *wire, size_t n, struct spec_upload *ret,
	size_t *count, int (*check)(const char *name, const char *field, struct error *err),
	struct error *err)
{
	const char *field = check == check_package ? "requirements.uploaded.packages"
						   : "requirements.uploaded.includes";
	struct spec_upload *first = ret + *count;
	size_t i;
	int r;

	for (i = 0; i < n; i++) {
		r = check(wire[i]->name, field, err);
		if (r == 0)
			r = spec_check_digest(wire[i]->sha256, field, err);
		if (r)
			return r;
		ret[(*count)++] = (struct spec_upload){
			text_copy(wire[i]->name),
			text_copy(wire[i]->sha256),
		};
	}
	return check_twice(first, n, field, err);
}

static size_t count_names(Pyenvd__V1__NamedArtifact *const *wire, size_t n)
{
	size_t size = 0, i;

	for (i = 0; i < n; i++)
		size += strlen(wire[i]->name);
	return size;
}

static int check_limits(const Pyenvd__V1__UploadedRequirements *wire, struct error *err)
{
	size_t count = 1 + wire->n_includes + wire->n_packages;
	size_t size = strlen(wire->name) + count_names(wire->includes, wire->n_includes) +
		count_names(wire->packages, wire->n_packages);

	if (count > REQUIREMENTS_MAX_UPLOADS)
		return fail(err, -EFBIG, "LIMIT_EXCEEDED",
			"requirements.uploaded: %zu files, more than the %d that there may be",
			count, REQUIREMENTS_MAX_UPLOADS);
	if (size > REQUIREMENTS_MAX_NAMES)
		return fail(err, -EFBIG, "LIMIT_EXCEEDED",
			"requirements.uploaded: the names have more than %d bytes together",
			REQUIREMENTS_MAX_NAMES);
	return 0;
}

static int to_uploaded(const Pyenvd__V1__UploadedRequirements *wire, struct spec_requirements *ret,
	struct error *err)
{
	const char *name = *wire->name ? wire->name : DEFAULT_NAME;
	size_t i;
	int r;

	r = check_limits(wire, err);
	if (r == 0)
		r = spec_check_digest(wire->sha256, "requirements.uploaded.sha256", err);
	if (r == 0)
		r = check_file_name(name, "requirements.uploaded.name", err);
	if (r)
		return r;
	ret->path = text_format(SPEC_ARTIFACT "%s", wire->sha256);
	ret->packages = wire->n_packages || wire->no_index ? text_copy("") : NULL;
	ret->files = new0_array(struct spec_upload, wire->n_includes + 1);
	ret->package_files = new0_array(struct spec_upload, wire->n_packages);
	ret->files[ret->file_count++] = (struct spec_upload){
		text_copy(name),
		text_copy(wire->sha256),
	};
	r = to_uploads(
		wire->includes, wire->n_includes, ret->files, &ret->file_count, check_include, err);
	for (i = 1; i < ret->file_count && r == 0; i++)
		if (text_equal(ret->files[i].name, name))
			r = refuse_name(name, "requirements.uploaded.includes",
				"is that of the file itself", err);
	return r ? r
		 : to_uploads(wire->packages, wire->n_packages, ret->package_files,
			   &ret->package_count, check_package, err);
}

int create_request_to_requirements(
	const Pyenvd__V1__Requirements *wire, struct spec_requirements *ret, struct error *err)
{
	int r;

	if (wire->uploaded && (*wire->path || *wire->package_directory))
		return fail(err, -EINVAL, "REQUEST_INVALID",
			"requirements has paths and artifacts that were uploaded: all of it is "
			"given in one of these ways");
	if (wire->uploaded)
		return to_uploaded(wire->uploaded, ret, err);
	r = spec_check_path(wire->path, "requirements.path", err);
	if (r == 0 && *wire->package_directory)
		r = spec_check_path(wire->package_directory, "requirements.package_directory", err);
	if (r)
		return r;
	ret->path = text_copy(wire->path);
	ret->packages = *wire->package_directory ? text_copy(wire->package_directory) : NULL;
	ret->refresh = wire->refresh;
	return 0;
}
