#pragma once
/*
 * libpyenvd: talks to pyenvd, the daemon that prepares Python environments.
 *
 * Calls block until they are answered, refused, cancelled, or out of time. The
 * messages are those of pyenvd/v1/pyenvd.proto, whose comments are the manual of
 * every call and every field, as protobuf-c generates them:
 *
 *	struct pyenvd *client;
 *	struct pyenvd_error error;
 *	Pyenvd__V1__Archive archive = PYENVD__V1__ARCHIVE__INIT;
 *	Pyenvd__V1__CreateEnvironmentRequest request =
 *		PYENVD__V1__CREATE_ENVIRONMENT_REQUEST__INIT;
 *	Pyenvd__V1__CreateEnvironmentResponse *environment;
 *
 *	archive.path = "/srv/venv.zip";
 *	archive.target_dir = "venv";
 *	request.archives = (Pyenvd__V1__Archive *[]){ &archive };
 *	request.n_archives = 1;
 *	if (pyenvd_connect(NULL, 0, &client, &error) != PYENVD_OK)
 *		errx(1, "%s", error.message);
 *	if (pyenvd_create_environment(client, &request, NULL, &environment, &error))
 *		errx(1, "%s", error.message);
 *	puts(environment->working_directory);
 *	pyenvd_message_free(environment);
 *	pyenvd_close(client);
 *
 * Threads: a client belongs to one thread at a time, and has one call at a time;
 * several clients are independent of each other. Only pyenvd_cancel() may be called
 * from anywhere. After fork() the child may only call pyenvd_close(). Descriptors
 * are close-on-exec; SIGPIPE is never raised.
 */
#include <stdbool.h>
#include <stdint.h>
#include <pyenvd.pb-c.h>

#ifdef __cplusplus
extern "C" {
#endif

/* How a call ended: the numbers of gRPC. */
enum pyenvd_code {
	PYENVD_OK = 0,
	PYENVD_CANCELLED = 1,
	PYENVD_UNKNOWN = 2,
	PYENVD_INVALID_ARGUMENT = 3,
	PYENVD_DEADLINE_EXCEEDED = 4,
	PYENVD_NOT_FOUND = 5,
	PYENVD_ALREADY_EXISTS = 6,
	PYENVD_PERMISSION_DENIED = 7,
	PYENVD_RESOURCE_EXHAUSTED = 8,
	PYENVD_FAILED_PRECONDITION = 9,
	PYENVD_ABORTED = 10,
	PYENVD_OUT_OF_RANGE = 11,
	PYENVD_UNIMPLEMENTED = 12,
	PYENVD_INTERNAL = 13,
	PYENVD_UNAVAILABLE = 14,
	PYENVD_DATA_LOSS = 15,
	PYENVD_UNAUTHENTICATED = 16,
};

/* A plain value: copied freely, never freed. */
struct pyenvd_error {
	enum pyenvd_code code;
	/* Found on this side: the daemon could not be reached, broke off, or did
	 * not answer in time. False: the daemon said it. */
	bool is_local;
	char reason[40]; /* for programs: a name of enum Reason; may be empty */
	char message[1200]; /* for people */
	/* Of a create: the input that is to blame, its path as it was given; may be empty. */
	char source[4096];
};

struct pyenvd; /* one connection */

/* "NOT_FOUND". */
const char *pyenvd_code_name(enum pyenvd_code code);

/* Where a daemon is looked for when nobody says: $PYENVD_SOCKET; else
 * /run/pyenvd/pyenvd.sock; only if that does not exist, and the caller is not
 * root, $XDG_RUNTIME_DIR/pyenvd/pyenvd.sock if that does. The caller frees it. */
char *pyenvd_default_path(void);

/* All functions that take an error return its code, PYENVD_OK included; @error may
 * be NULL, and is filled only in case of an error. */

/* @path NULL: the default. @timeout_ms is for connecting alone; 0: no limit. */
enum pyenvd_code pyenvd_connect(
	const char *path, uint64_t timeout_ms, struct pyenvd **ret, struct pyenvd_error *error);
/* NULL is fine; returns NULL. Leases held by this connection end with it. */
struct pyenvd *pyenvd_close(struct pyenvd *client);

/* For each call from now on, and sent to the daemon with it. 0, as in the
 * beginning: no limit. */
void pyenvd_set_timeout(struct pyenvd *client, uint64_t timeout_ms);

/* Ends the call that is running, or, if none is, the next one, with
 * PYENVD_CANCELLED. From any thread, any callback, and any signal handler. */
void pyenvd_cancel(struct pyenvd *client);

/* For messages that this library returned. NULL is fine. */
void pyenvd_message_free(void *message);

/* --- any call, by its name in pyenvd.proto: "ListLayers" --- */

/* @request must be of the type that the call takes. *ret is to be freed. */
enum pyenvd_code pyenvd_call(struct pyenvd *client, const char *method,
	const ProtobufCMessage *request, ProtobufCMessage **ret, struct pyenvd_error *error);

/* Who hears the messages of a stream. */
struct pyenvd_listener {
	/* @message is valid until it returns. False: cancel the call. Must not
	 * use the client except for pyenvd_cancel(). */
	bool (*on_message)(const ProtobufCMessage *message, void *data);
	void *data;
};

/* Returns when the stream has ended. */
enum pyenvd_code pyenvd_call_stream(struct pyenvd *client, const char *method,
	const ProtobufCMessage *request, const struct pyenvd_listener *listener,
	struct pyenvd_error *error);

/* Where the content of an upload comes from. */
struct pyenvd_reader {
	/* Up to @size bytes; 0: that was all; -1: cancel the call. Must not use the client
	 * except for pyenvd_cancel(). */
	long (*read)(void *buffer, unsigned long size, void *data);
	void *data;
};

/* UploadArtifact: @size bytes with this SHA-256 (64 hex digits). When the daemon has them,
 * not all of them are read: pyenvd_find_artifact() first spares reading any. */
enum pyenvd_code pyenvd_upload_artifact(struct pyenvd *client, const char *sha256, uint64_t size,
	const struct pyenvd_reader *reader, Pyenvd__V1__UploadArtifactResponse **ret,
	struct pyenvd_error *error);

/* --- the calls with their types --- */

/* Who wants to know how far a create is. */
struct pyenvd_watcher {
	/* As with pyenvd_listener. */
	void (*on_progress)(const Pyenvd__V1__Progress *progress, void *data);
	void *data;
};

/* @watcher may be NULL. */
enum pyenvd_code pyenvd_create_environment(struct pyenvd *client,
	const Pyenvd__V1__CreateEnvironmentRequest *request, const struct pyenvd_watcher *watcher,
	Pyenvd__V1__CreateEnvironmentResponse **ret, struct pyenvd_error *error);

/* Whether a create of @request would find all of it prepared, and if not, why. */
enum pyenvd_code pyenvd_explain_environment(struct pyenvd *client,
	const Pyenvd__V1__CreateEnvironmentRequest *request,
	Pyenvd__V1__ExplainEnvironmentResponse **ret, struct pyenvd_error *error);

/* *ret: the absolute path of a new retrieval token; to be freed with free(). */
enum pyenvd_code pyenvd_create_retrieval_token(
	struct pyenvd *client, const char *lease_id, char **ret, struct pyenvd_error *error);

/* *ret: whether there was such a lease. */
enum pyenvd_code pyenvd_release_environment(
	struct pyenvd *client, const char *lease_id, bool *ret, struct pyenvd_error *error);

/* *ret: when it ends now, in milliseconds since 1970. */
enum pyenvd_code pyenvd_renew_lease(struct pyenvd *client, const char *lease_id, uint32_t seconds,
	int64_t *ret, struct pyenvd_error *error);

/* Returns when the lease is no longer held. on_message() comes once, when it is. A
 * timeout, if set, ends it too. */
enum pyenvd_code pyenvd_hold_lease(struct pyenvd *client, const char *lease_id,
	const struct pyenvd_listener *listener, struct pyenvd_error *error);

/* PYENVD_NOT_FOUND, ARTIFACT_NOT_FOUND: it is to be uploaded. */
enum pyenvd_code pyenvd_find_artifact(struct pyenvd *client, const char *sha256,
	Pyenvd__V1__FindArtifactResponse **ret, struct pyenvd_error *error);

enum pyenvd_code pyenvd_get_status(
	struct pyenvd *client, Pyenvd__V1__GetStatusResponse **ret, struct pyenvd_error *error);

enum pyenvd_code pyenvd_list_environments(struct pyenvd *client,
	const Pyenvd__V1__ListRequest *request, Pyenvd__V1__ListEnvironmentsResponse **ret,
	struct pyenvd_error *error);
enum pyenvd_code pyenvd_list_layers(struct pyenvd *client, const Pyenvd__V1__ListRequest *request,
	Pyenvd__V1__ListLayersResponse **ret, struct pyenvd_error *error);
enum pyenvd_code pyenvd_list_leases(struct pyenvd *client, const Pyenvd__V1__ListRequest *request,
	Pyenvd__V1__ListLeasesResponse **ret, struct pyenvd_error *error);
enum pyenvd_code pyenvd_list_creations(struct pyenvd *client,
	const Pyenvd__V1__ListRequest *request, Pyenvd__V1__ListCreationsResponse **ret,
	struct pyenvd_error *error);
enum pyenvd_code pyenvd_list_artifacts(struct pyenvd *client,
	const Pyenvd__V1__ListRequest *request, Pyenvd__V1__ListArtifactsResponse **ret,
	struct pyenvd_error *error);

enum pyenvd_code pyenvd_show(struct pyenvd *client, const char *id, Pyenvd__V1__ShowResponse **ret,
	struct pyenvd_error *error);

enum pyenvd_code pyenvd_collect(struct pyenvd *client, const Pyenvd__V1__CollectRequest *request,
	Pyenvd__V1__CollectResponse **ret, struct pyenvd_error *error);

#ifdef __cplusplus
}
#endif
