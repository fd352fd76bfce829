/*
 * Beam asks whoever starts a worker for a retrieval token: the path of a file that says
 * where the worker's artifacts are, a ProxyManifest in JSON. A worker that is a process
 * finds its files in the lease, so its token says that there are none to retrieve, in the
 * words of Flink's own. That of a container names all files of the request, which the lease
 * keeps as artifacts. Their places are paths and no URIs: Beam opens local files by path.
 *
 * Beam's retrieval service remembers what a token said for as long as it likes. So a
 * token is a file of its own, made once and never written again, in the lease's base
 * directory, where it goes with the lease.
 */
#include <errno.h>
#include <stdio.h>
#include "base/buffer.h"
#include "daemon/core/artifacts.h"
#include "daemon/core/leases-internal.h"

#define PERMISSIONS 0644 /* of what the worker makes of an artifact */

static void add(struct buffer *json, const char *text)
{
	buffer_append(json, text, strlen(text));
}

/* In quotes. It is UTF-8. */
static void add_text(struct buffer *json, const char *text)
{
	char escaped[8];

	add(json, "\"");
	for (; *text; text++) {
		if (*text == '"' || *text == '\\' || (unsigned char)*text < 0x20) {
			snprintf(escaped, sizeof(escaped), "\\u%04x", (unsigned char)*text);
			add(json, escaped);
		} else {
			buffer_append(json, text, 1);
		}
	}
	add(json, "\"");
}

static void add_artifacts(struct buffer *json, const struct db_lease_artifacts *artifacts)
{
	_cleanup_free_ char *permissions = text_format(", \"permissions\": %d", PERMISSIONS);
	size_t i;

	for (i = 0; i < artifacts->count; i++) {
		add(json, i ? ", {\"name\": " : "{\"name\": ");
		add_text(json, artifacts->rows[i].name);
		add(json, permissions);
		add(json, ", \"sha256\": ");
		add_text(json, artifacts->rows[i].digest);
		add(json, "}");
	}
}

/* And lets the lease's user read them. */
static int add_locations(struct buffer *json, const struct db_lease_artifacts *artifacts,
	const struct lease *lease, struct error *err)
{
	struct tree *tree = lease->leases->core->tree;
	char name[ARTIFACT_NAME_SIZE];
	size_t i;
	int r;

	for (i = 0; i < artifacts->count; i++) {
		_cleanup_free_ char *path = NULL;

		artifact_format_name(artifacts->rows[i].digest, lease->row.uid, name);
		r = tree_allow_artifact(tree, name, lease->row.uid, err);
		if (r)
			return r;
		path = tree_artifact_path(tree, name);
		add(json, i ? ", {\"name\": " : "{\"name\": ");
		add_text(json, artifacts->rows[i].name);
		add(json, ", \"uri\": ");
		add_text(json, path);
		add(json, "}");
	}
	return 0;
}

static int format_manifest(struct lease *lease, struct buffer *json, struct error *err)
{
	_cleanup_(db_lease_artifacts_deinit) struct db_lease_artifacts artifacts = { 0 };
	int r;

	r = db_list_lease_artifacts(lease->leases->core->db, lease->row.id, &artifacts, err);
	if (r)
		return r;
	if (!artifacts.count) {
		add(json, "{\"manifest\": {}}");
		return 0;
	}
	add(json, "{\"manifest\": {\"artifact\": [");
	add_artifacts(json, &artifacts);
	add(json, "]}, \"location\": [");
	r = add_locations(json, &artifacts, lease, err);
	add(json, "]}");
	return r;
}

int lease_make_token(struct lease *lease, char **ret, struct error *err)
{
	const struct identity owner = { .uid = lease->row.uid, .gid = lease->row.gid };
	struct tree *tree = lease->leases->core->tree;
	_cleanup_free_ char *directory = tree_lease_path(tree, lease->row.id);
	_cleanup_buffer_ struct buffer json = { 0 };
	_cleanup_free_ char *name = NULL;
	char uuid[37];
	int r;

	r = format_manifest(lease, &json, err);
	if (r)
		return r;
	random_uuid(uuid);
	name = text_format("retrieval_token_%s.json", uuid);
	r = tree_write_lease_file(tree, lease->row.id, &owner, name, json.data, json.size, err);
	if (r == 0)
		*ret = text_format("%s/%s", directory, name);
	return r;
}
