/*
 * A file that the daemon does not see (another mount namespace), or may not read, may be
 * there for us: then it is uploaded, and the create repeated with its digest. The user is
 * shown the name that they gave.
 *
 * With a request id, such a create may have been made before: then the daemon, which has it
 * with digests, takes it for another one that is made with paths. So what was uploaded
 * before is named by its digest, and the create repeated.
 */
#include "client/prepare.h"

#include <stdio.h>
#include "base/util.h"
#include "client/expand.h"
#include "client/progress.h"
#include "client/upload-requirements.h"
#include "client/upload.h"

/* A path that was given up for a digest. */
struct swap {
	char *path, *source; /* owned; "sha256:…" */
};

struct preparation {
	const struct session *session;
	struct request *request;
	const struct bundle *bundle; /* NULL: none */
	bool *are_supplied; /* owned; of the bundle's files */
	struct progress progress;
	bool is_watched, is_recalled;
	struct swap *swaps; /* owned */
	size_t swap_count;
};

/* What the user calls what the daemon calls @source. */
static const char *name_of(const struct preparation *preparation, const char *source)
{
	size_t i;

	for (i = 0; i < preparation->swap_count; i++)
		if (text_equal(preparation->swaps[i].source, source))
			return preparation->swaps[i].path;
	return source;
}

static void on_progress(const Pyenvd__V1__Progress *event, void *data)
{
	struct preparation *preparation = data;
	Pyenvd__V1__Progress named = *event;

	named.source = (char *)name_of(preparation, event->source);
	progress_update(&named, &preparation->progress);
}

static void use_digest(struct preparation *preparation, const char *path, const char *sha256)
{
	preparation->swaps = grow_array(
		preparation->swaps, preparation->swap_count, sizeof(*preparation->swaps));
	preparation->swaps[preparation->swap_count++] = (struct swap){
		.path = text_copy(path),
		.source = text_format("sha256:%s", sha256),
	};
	request_use_digest(preparation->request, path, sha256);
}

static struct progress *progress_of(struct preparation *preparation)
{
	return preparation->is_watched ? &preparation->progress : NULL;
}

static void name_upload(struct pyenvd_error *error, const char *path)
{
	_cleanup_free_ char *words = text_copy(error->message);

	if (!error->is_local)
		snprintf(error->message, sizeof(error->message), "cannot upload '%s': %s", path,
			words);
}

/* The daemon cannot read something. */
static bool is_about_source(const struct pyenvd_error *error)
{
	return text_equal(error->reason, "SOURCE_NOT_FOUND") ||
		text_equal(error->reason, "SOURCE_UNREADABLE");
}

/* And we can. */
static bool is_for_upload(const struct preparation *preparation, const struct pyenvd_error *error)
{
	return is_about_source(error) && request_has_path(preparation->request, error->source) &&
		upload_is_possible(error->source);
}

/* True: try again. Else @error says what the user is to hear. Each input is given up for a
 * digest once, so this comes to an end. */
static bool upload_instead(struct preparation *preparation, struct pyenvd_error *error)
{
	_cleanup_free_ char *path = text_copy(error->source);
	struct uploaded uploaded;

	if (!is_for_upload(preparation, error))
		return false;
	if (upload_file(preparation->session, path, progress_of(preparation), &uploaded, error)) {
		name_upload(error, path);
		return false;
	}
	use_digest(preparation, path, uploaded.sha256);
	return true;
}

/* Then its paths can be given up. */
static bool expand_instead(struct preparation *preparation, const struct pyenvd_error *error)
{
	struct error ignored;

	return is_about_source(error) && expand_flink(preparation->request, &ignored) == 0;
}

static bool supply_one(struct preparation *preparation, size_t i, struct pyenvd_error *error)
{
	const struct bundle_file *file = &preparation->bundle->files[i];

	preparation->are_supplied[i] = true;
	return upload_part(preparation->session, preparation->bundle->path, file->offset,
		       file->size, file->sha256, progress_of(preparation), error) == PYENVD_OK;
}

/* Each file of the bundle once. What requirements include, and their packages, are missed in
 * the name of the requirements: when that is what was sent already, all that is left is sent;
 * of what the daemon has, that is a digest. */
static bool supply(struct preparation *preparation, struct pyenvd_error *error)
{
	const struct bundle *bundle = preparation->bundle;
	static const char prefix[] = "sha256:";
	bool is_sent = false;
	size_t i;

	if (!bundle || !text_equal(error->reason, "ARTIFACT_NOT_FOUND") ||
		!text_starts_with(error->source, prefix))
		return false;
	for (i = 0; i < bundle->file_count; i++)
		if (text_equal(bundle->files[i].sha256, error->source + strlen(prefix)))
			break;
	if (i == bundle->file_count)
		return false;
	if (!preparation->are_supplied[i])
		return supply_one(preparation, i, error);
	for (i = 0; i < bundle->file_count; i++) {
		if (preparation->are_supplied[i])
			continue;
		if (!supply_one(preparation, i, error))
			return false;
		is_sent = true;
	}
	return is_sent;
}

static void use_uploaded(
	struct preparation *preparation, Pyenvd__V1__UploadedRequirements *uploaded)
{
	use_digest(preparation, request_get_requirements(preparation->request), uploaded->sha256);
	request_use_uploaded(preparation->request, uploaded);
}

/* The same for requirements, of which all is given up for digests if any of it cannot be
 * read. */
static bool upload_requirements_instead(struct preparation *preparation, struct pyenvd_error *error)
{
	const char *path = request_get_requirements(preparation->request);
	Pyenvd__V1__UploadedRequirements *uploaded;
	struct pyenvd_error failed;

	if (!is_about_source(error) || !path || !text_equal(error->source, path) ||
		!upload_is_possible(path))
		return false;
	if (upload_requirements(preparation->session, path,
		    request_get_packages(preparation->request), true, progress_of(preparation),
		    &uploaded, &failed) == PYENVD_OK) {
		use_uploaded(preparation, uploaded);
		return true;
	}
	/* What cannot be read here either is what the daemon's reason is about. */
	if (*failed.reason)
		*error = failed;
	else
		memcpy(error->message, failed.message, sizeof(error->message));
	return false;
}

static void recall_requirements(struct preparation *preparation)
{
	const char *path = request_get_requirements(preparation->request);
	Pyenvd__V1__UploadedRequirements *uploaded;
	struct pyenvd_error ignored;

	if (path && upload_is_possible(path) &&
		upload_requirements(preparation->session, path,
			request_get_packages(preparation->request), false, progress_of(preparation),
			&uploaded, &ignored) == PYENVD_OK)
		use_uploaded(preparation, uploaded);
}

/* The same, for a request that may be one with digests. */
static bool recall_uploads(struct preparation *preparation, const struct pyenvd_error *error)
{
	struct pyenvd_error ignored;
	struct error refused;
	struct uploaded uploaded;
	const char *given;
	size_t i;

	if (!text_equal(error->reason, "REQUEST_ID_REUSED") || preparation->is_recalled)
		return false;
	preparation->is_recalled = true;
	expand_flink(preparation->request, &refused);
	for (i = 0; (given = request_get_path(preparation->request, i)); i++) {
		_cleanup_free_ char *path = text_copy(given);

		if (*path && upload_is_possible(path) &&
			upload_find(preparation->session, path, progress_of(preparation), &uploaded,
				&ignored) == PYENVD_OK)
			use_digest(preparation, path, uploaded.sha256);
	}
	recall_requirements(preparation);
	return preparation->swap_count > 0;
}

/* The same where nothing is to be made, so nothing is uploaded: what is there already. */
static bool find_instead(struct preparation *preparation, struct pyenvd_error *error)
{
	_cleanup_free_ char *path = text_copy(error->source);
	struct pyenvd_error missing;
	struct uploaded found;

	if (!is_for_upload(preparation, error))
		return false;
	if (upload_find(preparation->session, path, progress_of(preparation), &found, &missing)) {
		if (text_equal(missing.reason, "ARTIFACT_NOT_FOUND"))
			snprintf(error->message, sizeof(error->message),
				"'%s' cannot be read by the daemon, and was not uploaded yet: a "
				"create would do that",
				path);
		return false;
	}
	use_digest(preparation, path, found.sha256);
	return true;
}

static void name_source(const struct preparation *preparation, char **source)
{
	char *name = text_copy(name_of(preparation, *source));

	if (*source != protobuf_c_empty_string)
		free(*source);
	*source = name;
}

static void begin(struct preparation *preparation)
{
	request_begin(preparation->request);
	progress_init(&preparation->progress, stderr);
	preparation->is_watched = preparation->progress.file && !preparation->session->is_quiet;
}

/* Returns the exit code. */
static int end(struct preparation *preparation, const struct pyenvd_error *error)
{
	size_t i;

	progress_deinit(&preparation->progress);
	for (i = 0; i < preparation->swap_count; i++) {
		free(preparation->swaps[i].path);
		free(preparation->swaps[i].source);
	}
	free(preparation->swaps);
	free(preparation->are_supplied);
	return error->code ? session_fail(preparation->session, error) : EXIT_DONE;
}

int prepare_environment(const struct session *session, struct request *request,
	const struct bundle *bundle, Pyenvd__V1__CreateEnvironmentResponse **ret)
{
	struct preparation preparation = {
		.session = session,
		.request = request,
		.bundle = bundle,
		.are_supplied = new0_array(bool, bundle ? bundle->file_count : 0),
	};
	struct pyenvd_watcher watcher = { .on_progress = on_progress, .data = &preparation };
	struct pyenvd_error error;
	size_t i;

	begin(&preparation);
	do {
		error = (struct pyenvd_error){ 0 };
		pyenvd_create_environment(session->client, &request->message,
			preparation.is_watched ? &watcher : NULL, ret, &error);
	} while (error.code &&
		(expand_instead(&preparation, &error) || upload_instead(&preparation, &error) ||
			upload_requirements_instead(&preparation, &error) ||
			supply(&preparation, &error) || recall_uploads(&preparation, &error)));
	for (i = 0; !error.code && i < (*ret)->n_layers; i++)
		name_source(&preparation, &(*ret)->layers[i]->source);
	return end(&preparation, &error);
}

int prepare_explanation(const struct session *session, struct request *request,
	Pyenvd__V1__ExplainEnvironmentResponse **ret)
{
	struct preparation preparation = { .session = session, .request = request };
	struct pyenvd_error error;
	size_t i;

	begin(&preparation);
	do {
		error = (struct pyenvd_error){ 0 };
		pyenvd_explain_environment(session->client, &request->message, ret, &error);
	} while (error.code && find_instead(&preparation, &error));
	for (i = 0; !error.code && i < (*ret)->n_missing; i++)
		name_source(&preparation, &(*ret)->missing[i]);
	return end(&preparation, &error);
}
