/*
 * Done by the job that makes layers of archives, so that what is found in it is what would be
 * found in a layer.
 */
#include "client/unpack.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#define LAYER "layer"

static int make_directories(struct unpack *unpack, int *ret, struct error *err)
{
	const char *place = getenv("TMPDIR");

	unpack->directory = text_format(
		"%s/pyenvctl-XXXXXX", !place || *place != '/' ? "/tmp" : place);
	if (!mkdtemp(unpack->directory)) {
		int r = fail_errno(err, -errno, NULL, "cannot make '%s'", unpack->directory);

		free(STEAL(unpack->directory));
		return r;
	}
	unpack->tree = text_format("%s/" LAYER "/tree", unpack->directory);
	unpack->fd = fs_open_directory(AT_FDCWD, unpack->directory);
	if (unpack->fd < 0 || mkdirat(unpack->fd, LAYER, 0700))
		return fail_errno(err, -errno, NULL, "cannot use '%s'", unpack->directory);
	*ret = fs_open_directory(unpack->fd, LAYER);
	return *ret < 0 ? fail_errno(err, *ret, NULL, "cannot use '%s'", unpack->directory) : 0;
}

int unpack_begin(struct unpack *unpack, struct helper *helper, const char *path,
	const uint8_t sha256[SHA256_SIZE], struct error *err)
{
	static const struct job_limits no_limits;
	_cleanup_(helper_answer_deinit) struct helper_answer answer = { 0 };
	_cleanup_free_ char *layer = NULL;
	_cleanup_close_ int fd = -1;
	struct job job = { .kind = JOB_EXTRACT };
	int r;

	r = make_directories(unpack, &fd, err);
	if (r)
		return r;
	layer = text_format("%s/" LAYER, unpack->directory);
	job.extract = (struct job_extract){
		.path = path,
		.layer = JOB_LAYER_ARCHIVE,
		.expected_sha256 = sha256,
		.access_all = true,
		.compile = JOB_COMPILE_NEVER,
		.limits = &no_limits,
		.threads = helper->threads,
		.directory_fd = fd,
		.directory = layer,
	};
	return helper_run(helper, &job, &answer, err);
}

void unpack_end(struct unpack *unpack, struct helper *helper)
{
	static const char *const names[] = { LAYER };
	_cleanup_(helper_answer_deinit) struct helper_answer answer = { 0 };
	struct job job = { .kind = JOB_REMOVE };
	struct error ignored;

	if (unpack->fd >= 0) {
		job.remove = (struct job_remove){
			.parent_fd = unpack->fd,
			.names = names,
			.name_count = ARRAY_SIZE(names),
			.layers = true,
			.threads = helper->threads,
		};
		helper_run(helper, &job, &answer, &ignored);
	}
	cleanup_close(&unpack->fd);
	if (unpack->directory)
		rmdir(unpack->directory);
	free(unpack->directory);
	free(unpack->tree);
	*unpack = (struct unpack)UNPACK_INIT;
}
