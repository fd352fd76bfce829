/* Requirements in a request, once they were uploaded. */
#include <stdlib.h>
#include "base/util.h"
#include "proto/request-internal.h"

static void free_text(char *text)
{
	if (text != protobuf_c_empty_string)
		free(text);
}

static void free_all(Pyenvd__V1__NamedArtifact **artifacts, size_t count)
{
	size_t i;

	for (i = 0; i < count; i++) {
		free_text(artifacts[i]->name);
		free_text(artifacts[i]->sha256);
		free(artifacts[i]);
	}
	free(artifacts);
}

void request_free_uploaded(Pyenvd__V1__UploadedRequirements *uploaded)
{
	if (!uploaded)
		return;
	free_all(uploaded->includes, uploaded->n_includes);
	free_all(uploaded->packages, uploaded->n_packages);
	free_text(uploaded->name);
	free_text(uploaded->sha256);
	free(uploaded);
}

static Pyenvd__V1__NamedArtifact *named(const char *name, const char *sha256)
{
	Pyenvd__V1__NamedArtifact *artifact = new0(Pyenvd__V1__NamedArtifact);

	pyenvd__v1__named_artifact__init(artifact);
	artifact->name = text_copy(name);
	artifact->sha256 = text_copy(sha256);
	return artifact;
}

void request_add_uploaded(Pyenvd__V1__UploadedRequirements *uploaded, const char *name,
	const char *sha256, bool is_package)
{
	if (is_package)
		uploaded->packages[uploaded->n_packages++] = named(name, sha256);
	else if (uploaded->name != protobuf_c_empty_string)
		uploaded->includes[uploaded->n_includes++] = named(name, sha256);
	else {
		uploaded->name = text_copy(name);
		uploaded->sha256 = text_copy(sha256);
	}
}

Pyenvd__V1__UploadedRequirements *request_uploaded_new(size_t count, bool no_index)
{
	Pyenvd__V1__UploadedRequirements *uploaded = new0(Pyenvd__V1__UploadedRequirements);

	pyenvd__v1__uploaded_requirements__init(uploaded);
	uploaded->includes = new0_array(Pyenvd__V1__NamedArtifact *, count);
	uploaded->packages = new0_array(Pyenvd__V1__NamedArtifact *, count);
	uploaded->no_index = no_index;
	return uploaded;
}

const char *request_get_requirements(const struct request *request)
{
	const Pyenvd__V1__Requirements *requirements = request->message.requirements;

	return requirements && *requirements->path ? requirements->path : NULL;
}

const char *request_get_packages(const struct request *request)
{
	const char *directory = request->requirements.package_directory;

	return *directory ? directory : NULL;
}

void request_use_uploaded(struct request *request, Pyenvd__V1__UploadedRequirements *uploaded)
{
	Pyenvd__V1__Requirements *requirements = &request->requirements;

	free_text(requirements->path);
	free_text(requirements->package_directory);
	requirements->path = requirements->package_directory = (char *)protobuf_c_empty_string;
	request_free_uploaded(requirements->uploaded);
	requirements->uploaded = uploaded;
}
