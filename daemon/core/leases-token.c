/*
 * Beam asks whoever starts a worker for a retrieval token: the path of a file that says
 * where the worker's artifacts are. A worker that is a process finds its files in the
 * lease, so its token says that there are none to retrieve, in the words of Flink's own.
 *
 * Beam's retrieval service remembers what a token said for as long as it likes. So a
 * token is a file of its own, made once and never written again, in the lease's base
 * directory, where it goes with the lease.
 */
#include <errno.h>
#include "daemon/core/leases-internal.h"

static const char no_artifacts[] = "{\"manifest\": {}}";

int lease_make_token(struct lease *lease, char **ret, struct error *err)
{
	const struct identity owner = { .uid = lease->row.uid, .gid = lease->row.gid };
	struct tree *tree = lease->leases->core->tree;
	_cleanup_free_ char *directory = tree_lease_path(tree, lease->row.id);
	_cleanup_free_ char *name = NULL;
	char uuid[37];
	int r;

	if (lease->row.worker != DB_WORKER_PROCESS)
		return fail(err, -EBUSY, "WORKER_MISMATCH",
			"the workers of lease '%s' are containers: only those of processes have "
			"retrieval tokens",
			lease->row.id);
	random_uuid(uuid);
	name = text_format("retrieval_token_%s.json", uuid);
	r = tree_write_lease_file(
		tree, lease->row.id, &owner, name, no_artifacts, strlen(no_artifacts), err);
	if (r == 0)
		*ret = text_format("%s/%s", directory, name);
	return r;
}
