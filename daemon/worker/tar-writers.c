#include "daemon/worker/tar-writers.h"

#include <errno.h>
#include <pthread.h>
#include "base/list.h"

#define QUEUE_BYTES (32 << 20) /* of one writer */
#define MAX_WRITERS 16

struct item {
	struct list link; /* writer.queue */
	struct place_entry *entry;
	uint64_t hole;
	size_t size;
	bool is_last;
	uint8_t data[];
};

struct writer {
	struct tar_writers *writers;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct list queue; /* of item.link */
	size_t queued; /* bytes */
	bool is_ending; /* no more will come */
	bool has_failed;
	struct error err;
	struct sha256 *sha256;
	struct place_file file;
	bool in_file;
};

struct tar_writers {
	const struct archive_input *input;
	struct writer writers[MAX_WRITERS];
	size_t count, started;
};

static int write_item(struct writer *writer, const struct item *item)
{
	struct report *report = writer->writers->input->report;
	int r = 0;

	if (!writer->in_file)
		place_file_init(
			&writer->file, writer->writers->input->place, item->entry, writer->sha256);
	writer->in_file = true;
	if (item->hole)
		r = place_file_skip(&writer->file, item->hole, &writer->err);
	if (r == 0 && item->size)
		r = place_file_write(&writer->file, item->data, item->size, &writer->err);
	if (r == 0 && item->is_last) {
		r = place_file_end(&writer->file, &writer->err);
		writer->in_file = false;
	}
	report_add(report, item->size + item->hole, item->is_last);
	return r;
}

/* Under the lock; NULL: no more will come. */
static struct item *next_item(struct writer *writer)
{
	struct list *link;

	while (!(link = list_pop(&writer->queue))) {
		if (writer->is_ending)
			return NULL;
		pthread_cond_wait(&writer->changed, &writer->lock);
	}
	return container_of(link, struct item, link);
}

static void *work(void *data)
{
	struct writer *writer = data;
	struct item *item;

	pthread_mutex_lock(&writer->lock);
	while ((item = next_item(writer))) {
		bool skip = writer->has_failed;
		int r;

		pthread_mutex_unlock(&writer->lock);
		r = skip ? 0 : write_item(writer, item);
		pthread_mutex_lock(&writer->lock);
		writer->queued -= item->size + sizeof(*item);
		writer->has_failed |= r != 0;
		pthread_cond_broadcast(&writer->changed);
		free(item);
	}
	pthread_mutex_unlock(&writer->lock);
	return NULL;
}

int tar_writers_new(const struct archive_input *input, struct tar_writers **ret, struct error *err)
{
	_cleanup_(tar_writers_freep) struct tar_writers *writers = new0(struct tar_writers);
	size_t i;

	writers->input = input;
	writers->count = input->threads > 1 ? input->threads - 1 : 1;
	if (writers->count > MAX_WRITERS)
		writers->count = MAX_WRITERS;
	for (i = 0; i < writers->count; i++) {
		struct writer *writer = &writers->writers[i];

		writer->writers = writers;
		writer->file.fd = -1;
		writer->sha256 = sha256_new();
		list_init(&writer->queue);
		pthread_mutex_init(&writer->lock, NULL);
		pthread_cond_init(&writer->changed, NULL);
	}
	for (i = 0; i < writers->count; i++, writers->started++)
		if (pthread_create(&writers->writers[i].thread, NULL, work, &writers->writers[i]))
			return fail(err, -EAGAIN, "INTERNAL_ERROR", "cannot start a thread");
	*ret = STEAL(writers);
	return 0;
}

static void end_all(struct tar_writers *writers)
{
	size_t i;

	for (i = 0; i < writers->started; i++) {
		struct writer *writer = &writers->writers[i];

		pthread_mutex_lock(&writer->lock);
		writer->is_ending = true;
		pthread_cond_broadcast(&writer->changed);
		pthread_mutex_unlock(&writer->lock);
	}
	for (i = 0; i < writers->started; i++)
		pthread_join(writers->writers[i].thread, NULL);
	writers->started = 0;
}

struct tar_writers *tar_writers_free(struct tar_writers *writers)
{
	size_t i;

	if (!writers)
		return NULL;
	for (i = 0; i < writers->started; i++) {
		struct writer *writer = &writers->writers[i];

		pthread_mutex_lock(&writer->lock);
		writer->has_failed = true;
		pthread_mutex_unlock(&writer->lock);
	}
	end_all(writers);
	for (i = 0; i < writers->count; i++) {
		struct writer *writer = &writers->writers[i];

		place_file_abandon(&writer->file);
		sha256_free(writer->sha256);
		pthread_mutex_destroy(&writer->lock);
		pthread_cond_destroy(&writer->changed);
	}
	free(writers);
	return NULL;
}

size_t tar_writers_begin(struct tar_writers *writers)
{
	size_t i, best = 0, least = SIZE_MAX;

	for (i = 0; i < writers->count; i++) {
		struct writer *writer = &writers->writers[i];

		pthread_mutex_lock(&writer->lock);
		if (writer->queued < least) {
			least = writer->queued;
			best = i;
		}
		pthread_mutex_unlock(&writer->lock);
	}
	return best;
}

int tar_writers_put(struct tar_writers *writers, size_t index, struct place_entry *entry,
	uint64_t hole, const void *data, size_t size, bool is_last, struct error *err)
{
	struct writer *writer = &writers->writers[index];
	struct item *item = malloc(sizeof(*item) + size);
	bool has_failed;

	if (!item)
		return fail(err, -ENOMEM, "INTERNAL_ERROR", "no memory to read an archive with");
	*item = (struct item){ .entry = entry, .hole = hole, .size = size, .is_last = is_last };
	if (size)
		memcpy(item->data, data, size);
	pthread_mutex_lock(&writer->lock);
	while (writer->queued > QUEUE_BYTES && !writer->has_failed)
		pthread_cond_wait(&writer->changed, &writer->lock);
	writer->queued += size + sizeof(*item);
	list_add(&writer->queue, &item->link);
	has_failed = writer->has_failed;
	if (has_failed && err)
		*err = writer->err;
	pthread_cond_broadcast(&writer->changed);
	pthread_mutex_unlock(&writer->lock);
	return has_failed ? writer->err.r : 0;
}

int tar_writers_finish(struct tar_writers *writers, struct error *err)
{
	size_t i;

	end_all(writers);
	for (i = 0; i < writers->count; i++)
		if (writers->writers[i].has_failed) {
			*err = writers->writers[i].err;
			return err->r;
		}
	return 0;
}
