/* What is under way, as lists show it. */
#include "daemon/core/manager-internal.h"

struct gathering {
	const struct peer *peer;
	struct manager_creations *list;
};

static void add_creation(struct gathering *gathering, const struct manager_creation *row)
{
	struct manager_creations *list = gathering->list;

	list->rows[list->count] = *row;
	list->rows[list->count].id = text_copy(row->id);
	list->rows[list->count].subject = text_copy(row->subject);
	list->count++;
}

static void add_making(const struct layers_making_info *info, void *data)
{
	struct gathering *gathering = data;
	struct manager_creation row = {
		.kind = MANAGER_CREATION_LAYER,
		.id = (char *)info->id,
		.subject = (char *)info->path,
		.uid = info->uid,
		.progress = info->progress,
		.waiters = info->waiters,
		.started = info->started,
		.pid = info->pid,
	};

	if (manager_may_touch(gathering->peer, info->uid))
		add_creation(gathering, &row);
}

static void add_upload(const struct upload_info *info, void *data)
{
	struct gathering *gathering = data;
	struct manager_creation row = {
		.kind = MANAGER_CREATION_UPLOAD,
		.id = (char *)info->id,
		.subject = (char *)info->digest,
		.uid = info->uid,
		.progress = {
			.phase = JOB_PHASE_UPLOAD,
			.done_bytes = info->done_bytes,
			.total_bytes = info->total_bytes,
		},
		.waiters = 1,
		.started = info->started,
		.pid = info->pid,
	};

	if (manager_may_touch(gathering->peer, info->uid))
		add_creation(gathering, &row);
}

static void add_create(const struct create_info *info, void *data)
{
	struct gathering *gathering = data;
	struct manager_creation row = {
		.kind = MANAGER_CREATION_ENVIRONMENT,
		.id = (char *)info->id,
		.subject = (char *)(*info->hash ? info->hash : info->label),
		.uid = info->uid,
		.waiters = 1,
		.started = info->started,
	};

	if (manager_may_touch(gathering->peer, info->uid))
		add_creation(gathering, &row);
}

static int compare_creations(const void *a, const void *b)
{
	return strcmp(
		((const struct manager_creation *)a)->id, ((const struct manager_creation *)b)->id);
}

void manager_list_creations(
	struct manager *manager, const struct peer *peer, struct manager_creations *ret)
{
	struct gathering gathering = { peer, ret };

	*ret = (struct manager_creations){ 0 };
	ret->rows = new0_array(struct manager_creation,
		creates_count(manager->creates) + layers_count_making(manager->layers) +
			uploads_count(manager->uploads));
	layers_visit(manager->layers, add_making, &gathering);
	creates_visit(manager->creates, add_create, &gathering);
	uploads_visit(manager->uploads, add_upload, &gathering);
	qsort(ret->rows, ret->count, sizeof(*ret->rows), compare_creations);
}

void manager_creations_deinit(struct manager_creations *creations)
{
	size_t i;

	for (i = 0; i < creations->count; i++) {
		free(creations->rows[i].id);
		free(creations->rows[i].subject);
	}
	free(creations->rows);
	*creations = (struct manager_creations){ 0 };
}
