#include "daemon/worker/requirements-uploads.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>

/* @name is the source's path, for messages, and outlives it. */
static int open_file(const struct requirements_uploads *uploads, const char *file, const char *name,
	struct source *ret, struct error *err)
{
	int fd = fs_openat2(
		uploads->directory_fd, file, O_RDONLY, 0, RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS);

	if (fd < 0)
		return fail_errno(err, fd, NULL, "cannot open '%s', which was uploaded", name);
	return source_adopt(ret, fd, name, err);
}

int requirements_uploads_open(const struct requirements_uploads *uploads, const char *name,
	struct source *ret, struct error *err)
{
	size_t i;

	for (i = 0; i < uploads->file_count; i++)
		if (text_equal(uploads->files[i].name, name))
			return open_file(
				uploads, uploads->files[i].file, uploads->files[i].name, ret, err);
	return fail(err, -EINVAL, "REQUEST_INVALID",
		"it includes '%s', which is not among the files that were given with it", name);
}

static int compare(const void *a, const void *b)
{
	const struct requirements_package *x = a, *y = b;

	return strcmp(x->name, y->name);
}

int requirements_uploads_open_packages(const struct requirements_uploads *uploads,
	struct requirements_packages *ret, struct error *err)
{
	size_t i;
	int r = 0;

	*ret = (struct requirements_packages){ 0 };
	ret->rows = new0_array(struct requirements_package, uploads->package_count);
	for (i = 0; i < uploads->package_count && r == 0; i++) {
		struct requirements_package *package = &ret->rows[ret->count++];

		package->source = (struct source)SOURCE_INIT;
		package->name = text_copy(uploads->packages[i].name);
		package->path = text_copy(package->name);
		r = open_file(
			uploads, uploads->packages[i].file, package->path, &package->source, err);
	}
	if (ret->count)
		qsort(ret->rows, ret->count, sizeof(*ret->rows), compare);
	return r;
}
