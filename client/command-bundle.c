/*
 * A bundle that is being made has a name of its own until it is whole: who ships it meanwhile
 * ships the one before.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/util.h"
#include "client/bundle-write.h"
#include "proto/bundle.h"
#include "client/command.h"
#include "client/expand.h"
#include "client/session.h"

struct making {
	struct request request; /* first: request_arguments want it there */
	const char *output;
	bool by_name;
};

static int take_output(void *data, const char *value, struct error *err)
{
	struct making *making = data;

	if (!*value)
		return fail(err, -EINVAL, NULL, "'--output': the name is empty");
	making->output = value;
	return 0;
}

static int take_by_name(void *data, const char *value, struct error *err)
{
	struct making *making = data;

	making->by_name = true;
	return 0;
}

static const struct argument arguments[] = {
	{ "output", 'o', "FILE", "make this bundle, of what the options above say", take_output },
	{ "by-name", 0, NULL, "it names files of the host, and does not hold them", take_by_name },
	{ 0 },
};

static int make(struct making *making, struct error *err)
{
	_cleanup_free_ char *path = text_format("%s.%d.tmp", making->output, (int)getpid());
	_cleanup_close_ int fd = -1;
	int r;

	r = expand_flink(&making->request, err);
	if (r < 0)
		return r;
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
	if (fd < 0)
		return fail_errno(err, -errno, NULL, "cannot make '%s'", making->output);
	r = bundle_write(&making->request, making->by_name, fd, err);
	if (r == 0 && rename(path, making->output))
		r = fail_errno(err, -errno, NULL, "cannot make '%s'", making->output);
	if (r)
		unlink(path);
	return r;
}

static int run(struct session *session, void *data)
{
	struct making *making = data;
	_cleanup_bundle_ struct bundle bundle = { 0 };
	struct error err = { 0 };
	int r;

	if (making->output && session->word_count)
		r = fail(&err, -EINVAL, NULL, "either '--output', or a bundle to show");
	else if (making->output)
		r = make(making, &err);
	else if (!session->word_count || making->request.is_begun)
		r = fail(&err, -EINVAL, NULL, "a bundle to show, or '--output' to make one");
	else
		r = bundle_read(session->words[0], &bundle, &err);
	if (r)
		return session_fail_local(session, &err);
	if (!making->output)
		bundle_print(&bundle, stdout);
	return EXIT_DONE;
}

static void deinit(void *data)
{
	struct making *making = data;

	request_deinit(&making->request);
}

const struct command command_bundle = {
	.name = "bundle",
	.summary = "Make or show a bundle, by which Flink ships an environment",
	.words = "[BUNDLE]",
	.about =
		"A bundle (.pyenv) says what an environment is to be, and holds the files for it.\n"
		"Given to a Flink job as one of its python.files, it is what pyenvd's runner "
		"makes\n"
		"the job's workers from.",
	.arguments = { request_arguments, arguments },
	.data_size = sizeof(struct making),
	.deinit = deinit,
	.max_words = 1,
	.is_offline = true,
	.run = run,
};
