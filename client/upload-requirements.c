#include "client/upload-requirements.h"

#include <stdio.h>
#include "base/util.h"
#include "client/request.h"
#include "client/requirements-files.h"

/* What was found wrong here, before anything was asked of the daemon. */
static enum pyenvd_code fail_here(const struct error *err, struct pyenvd_error *error)
{
	*error = (struct pyenvd_error){
		.code = *err->reason ? PYENVD_INVALID_ARGUMENT : PYENVD_UNKNOWN,
		.is_local = true,
	};
	snprintf(error->reason, sizeof(error->reason), "%s", err->reason);
	snprintf(error->message, sizeof(error->message), "%s", err->text);
	return error->code;
}

static void name_upload(const char *path, struct pyenvd_error *error)
{
	_cleanup_free_ char *words = text_copy(error->message);

	if (!error->is_local)
		snprintf(error->message, sizeof(error->message), "cannot upload '%s': %s", path,
			words);
}

static Pyenvd__V1__NamedArtifact *named(const char *name, const char *sha256)
{
	Pyenvd__V1__NamedArtifact *artifact = new0(Pyenvd__V1__NamedArtifact);

	pyenvd__v1__named_artifact__init(artifact);
	artifact->name = text_copy(name);
	artifact->sha256 = text_copy(sha256);
	return artifact;
}

static void add(Pyenvd__V1__UploadedRequirements *uploaded, const struct requirements_here *file,
	const char *sha256)
{
	if (file->is_package)
		uploaded->packages[uploaded->n_packages++] = named(file->name, sha256);
	else if (uploaded->name != protobuf_c_empty_string)
		uploaded->includes[uploaded->n_includes++] = named(file->name, sha256);
	else {
		uploaded->name = text_copy(file->name);
		uploaded->sha256 = text_copy(sha256);
	}
}

/* With room for as many. */
static Pyenvd__V1__UploadedRequirements *uploaded_new(size_t count, bool no_index)
{
	Pyenvd__V1__UploadedRequirements *uploaded = new0(Pyenvd__V1__UploadedRequirements);

	pyenvd__v1__uploaded_requirements__init(uploaded);
	uploaded->includes = new0_array(Pyenvd__V1__NamedArtifact *, count);
	uploaded->packages = new0_array(Pyenvd__V1__NamedArtifact *, count);
	uploaded->no_index = no_index;
	return uploaded;
}

enum pyenvd_code upload_requirements(const struct session *session, const char *path,
	const char *packages, bool may_send, struct progress *progress,
	Pyenvd__V1__UploadedRequirements **ret, struct pyenvd_error *error)
{
	_cleanup_(requirements_files_deinit) struct requirements_files files = { 0 };
	Pyenvd__V1__UploadedRequirements *uploaded;
	struct uploaded one;
	struct error err = { 0 };
	size_t i;

	*error = (struct pyenvd_error){ 0 };
	if (requirements_files_find(path, packages, &files, &err))
		return fail_here(&err, error);
	uploaded = uploaded_new(files.count, packages);
	for (i = 0; i < files.count && !error->code; i++) {
		(may_send ? upload_file : upload_find)(
			session, files.rows[i].path, progress, &one, error);
		if (error->code)
			name_upload(files.rows[i].path, error);
		else
			add(uploaded, &files.rows[i], one.sha256);
	}
	if (error->code)
		request_free_uploaded(uploaded);
	else
		*ret = uploaded;
	return error->code;
}
