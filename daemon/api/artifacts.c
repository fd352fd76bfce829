/*
 * Of the service Environments: uploads.
 *
 * The client's bytes go to core as they come. While core cannot take more, the call is
 * held: HTTP/2's window closes, and the client stops sending. An answer that comes before
 * the client has sent all (it is there already, or it failed) ends the call, which also
 * tells the client to stop.
 */
#include <errno.h>
#include <stdio.h>
#include "daemon/api/convert.h"
#include "daemon/api/services.h"

struct uploading {
	struct rpc *rpc;
	struct upload upload;
	bool is_begun;
};

static void answer(struct rpc *rpc, const struct upload *upload)
{
	Pyenvd__V1__UploadArtifactResponse response = PYENVD__V1__UPLOAD_ARTIFACT_RESPONSE__INIT;
	Pyenvd__V1__Artifact wire;
	struct db_artifact artifact;
	struct error err = { 0 };

	if (manager_find_artifact(rpc->api->manager, rpc->peer, upload->digest, &artifact, &err)) {
		rpc_fail(rpc, &err);
		return;
	}
	convert_artifact(&artifact, &wire);
	response.artifact = &wire;
	response.was_there = upload->was_there;
	rpc_reply(rpc, &response.base);
}

static void on_done(struct upload *upload, const struct error *err)
{
	struct uploading *uploading = container_of(upload, struct uploading, upload);

	if (err)
		rpc_fail(uploading->rpc, err);
	else
		answer(uploading->rpc, upload);
}

static void on_drained(struct upload *upload)
{
	rpc_hold(container_of(upload, struct uploading, upload)->rpc, false);
}

static void uploading_expired(struct rpc *rpc)
{
	struct uploading *uploading = rpc->state;

	upload_abandon(&uploading->upload);
}

static void uploading_closed(struct rpc *rpc, bool delivered)
{
	struct uploading *uploading = rpc->state;

	upload_abandon(&uploading->upload);
	free(uploading);
}

static int begin(
	struct uploading *uploading, const Pyenvd__V1__ArtifactHeader *header, struct error *err)
{
	struct upload *upload = &uploading->upload;
	int r;

	r = spec_check_digest(header->sha256, "header.sha256", err);
	if (r)
		return r;
	snprintf(upload->digest, sizeof(upload->digest), "%s", header->sha256);
	upload->size = header->size_bytes;
	upload->peer = uploading->rpc->peer;
	upload->done = on_done;
	upload->drained = on_drained;
	uploading->is_begun = true;
	return manager_upload(uploading->rpc->api->manager, upload, err);
}

static int take(struct uploading *uploading, const Pyenvd__V1__UploadArtifactRequest *request,
	struct error *err)
{
	bool is_header = request->part_case == PYENVD__V1__UPLOAD_ARTIFACT_REQUEST__PART_HEADER;
	bool is_chunk = request->part_case == PYENVD__V1__UPLOAD_ARTIFACT_REQUEST__PART_CHUNK;
	int r;

	if (is_header && !uploading->is_begun)
		return begin(uploading, request->header, err);
	if (!is_chunk || !uploading->is_begun)
		return fail(err, -EINVAL, "REQUEST_INVALID",
			"an upload is one header, and then its chunks");
	r = upload_add(&uploading->upload, request->chunk.data, request->chunk.len, err);
	if (r == 0 && upload_is_full(&uploading->upload))
		rpc_hold(uploading->rpc, true);
	return r;
}

void artifacts_handle_upload(struct rpc *rpc, const ProtobufCMessage *message)
{
	const Pyenvd__V1__UploadArtifactRequest *request = (const void *)message;
	struct uploading *uploading = rpc->state;
	struct error err = { 0 };
	int r;

	if (!uploading) {
		uploading = new0(struct uploading);
		uploading->rpc = rpc;
		rpc->state = uploading;
		rpc->expired = uploading_expired;
		rpc->closed = uploading_closed;
	}
	r = take(uploading, request, &err);
	if (r == UPLOAD_E_THERE)
		answer(rpc, &uploading->upload);
	else if (r < 0)
		rpc_fail(rpc, &err);
}

void artifacts_handle_upload_end(struct rpc *rpc)
{
	struct uploading *uploading = rpc->state;
	struct error err = { 0 };
	int r;

	if (uploading)
		r = upload_end(&uploading->upload, &err);
	else
		r = fail(&err, -EINVAL, "REQUEST_INVALID", "an upload without a header");
	if (r < 0)
		rpc_fail(rpc, &err);
	else if (r == 0)
		answer(rpc, &uploading->upload);
}

void artifacts_handle_find(struct rpc *rpc, const ProtobufCMessage *message)
{
	const Pyenvd__V1__FindArtifactRequest *request = (const void *)message;
	Pyenvd__V1__FindArtifactResponse response = PYENVD__V1__FIND_ARTIFACT_RESPONSE__INIT;
	Pyenvd__V1__Artifact wire;
	struct db_artifact artifact;
	struct error err = { 0 };
	int r;

	r = spec_check_digest(request->sha256, "sha256", &err);
	if (r == 0)
		r = manager_find_artifact(
			rpc->api->manager, rpc->peer, request->sha256, &artifact, &err);
	if (r) {
		rpc_fail(rpc, &err);
		return;
	}
	convert_artifact(&artifact, &wire);
	response.artifact = &wire;
	rpc_reply(rpc, &response.base);
}
