/*
 * One queue of files. A small one is queued when it is whole, so that any thread can
 * write it without waiting; one that is larger is queued as soon as that shows, and
 * whoever takes it follows the decoder to its end. There is only one of that kind at a
 * time: the one that is being decoded.
 *
 *	decoder:  begin, put, put, end  ->  queue  ->  writer: open, write, close
 *
 * When QUEUE_BYTES wait to be written, the decoder writes a whole file itself, or waits
 * when there is none (then somebody is writing the current one, and makes room).
 *
 * Large buffers are kept and used again: memory that is touched for the first time costs
 * as much as writing it.
 */
#include "daemon/worker/tar-writers.h"

#include <errno.h>
#include <pthread.h>
#include "base/list.h"

#define QUEUE_BYTES (64 << 20)
#define STREAM_SIZE (1 << 20) /* a file larger than this is not waited for */
#define POOLED_SIZE (256 * 1024)
#define SMALL_SIZE (32 * 1024) /* up to here, a buffer is made to measure */
#define PIECE_SIZE (8 << 20) /* of what is mapped: between two reports */
#define MAX_WRITERS 16

struct chunk {
	struct list link; /* task.chunks, tar_writers.spare */
	uint64_t hole;
	const uint8_t *data;
	size_t size, cost; /* cost: of memory that is ours */
	bool is_pooled;
	uint8_t own[];
};

struct task {
	struct list link; /* tar_writers.queue until it is taken */
	struct place_entry *entry;
	struct list chunks; /* of chunk.link */
	bool is_queued, is_whole;
};

struct tar_writers {
	const struct archive_input *input;
	pthread_t threads[MAX_WRITERS];
	size_t started;
	struct sha256 *sha256; /* the decoder's */
	struct task *current; /* the decoder's; also the queue's or a writer's once queued */
	size_t current_bytes;

	pthread_mutex_t lock; /* of all below, and of what tasks hold once they are queued */
	pthread_cond_t work, room;
	struct list queue; /* of task.link */
	struct list spare; /* of chunk.link: pooled ones */
	size_t queued; /* bytes in chunks */
	bool is_ending, has_failed;
	struct error err; /* the first */
};

/* ---- chunks */

/* Under the lock. */
static void chunk_free(struct tar_writers *writers, struct chunk *chunk)
{
	writers->queued -= chunk->cost;
	if (chunk->is_pooled)
		list_add(&writers->spare, &chunk->link);
	else
		free(chunk);
}

static struct chunk *chunk_take_spare(struct tar_writers *writers)
{
	struct list *link = NULL;

	pthread_mutex_lock(&writers->lock);
	/* The last that was given back is still in the processor's cache. */
	if (!list_is_empty(&writers->spare)) {
		link = writers->spare.prev;
		list_remove(link);
	}
	pthread_mutex_unlock(&writers->lock);
	return link ? container_of(link, struct chunk, link)
		    : malloc(sizeof(struct chunk) + POOLED_SIZE);
}

static bool is_mapped(const struct tar_writers *writers, const uint8_t *data)
{
	const struct source *source = writers->input->source;

	return data >= source->data && data < source->data + source->size;
}

/* Of at most POOLED_SIZE bytes, or mapped. */
static struct chunk *chunk_new(
	struct tar_writers *writers, uint64_t hole, const uint8_t *data, size_t size)
{
	bool is_borrowed = !size || is_mapped(writers, data);
	bool is_pooled = !is_borrowed && size > SMALL_SIZE;
	struct chunk *chunk = is_pooled ? chunk_take_spare(writers)
					: malloc(sizeof(*chunk) + (is_borrowed ? 0 : size));

	if (!chunk)
		return NULL;
	*chunk = (struct chunk){
		.hole = hole,
		.data = is_borrowed ? data : chunk->own,
		.size = size,
		.cost = sizeof(*chunk) + (is_borrowed ? 0 : size),
		.is_pooled = is_pooled,
	};
	if (!is_borrowed)
		memcpy(chunk->own, data, size);
	return chunk;
}

/* ---- writing; any thread */

static int write_chunk(struct tar_writers *writers, struct place_file *file,
	const struct chunk *chunk, struct error *err)
{
	struct report *report = writers->input->report;
	size_t at, n;
	int r = 0;

	if (chunk->hole)
		r = place_file_skip(file, chunk->hole, err);
	for (at = 0; at < chunk->size && r == 0; at += n) {
		n = chunk->size - at < PIECE_SIZE ? chunk->size - at : PIECE_SIZE;
		r = place_file_write(file, chunk->data + at, n, err);
		report_add(report, n, 0);
	}
	return r;
}

/* Under the lock; the next chunk of @task, NULL when it is over. */
static struct chunk *next_chunk(struct tar_writers *writers, struct task *task)
{
	struct list *link;

	while (!(link = list_pop(&task->chunks))) {
		if (task->is_whole || writers->is_ending)
			return NULL;
		pthread_cond_wait(&writers->work, &writers->lock);
	}
	return container_of(link, struct chunk, link);
}

/* Under the lock, which it gives up meanwhile. Frees @task. */
static void run_task(struct tar_writers *writers, struct task *task, struct sha256 *sha256)
{
	struct error err = { 0 };
	struct place_file file;
	struct chunk *chunk;
	int r = 0;

	place_file_init(&file, writers->input->place, task->entry, sha256);
	while ((chunk = next_chunk(writers, task))) {
		bool skip = r || writers->has_failed;

		pthread_mutex_unlock(&writers->lock);
		if (!skip)
			r = write_chunk(writers, &file, chunk, &err);
		pthread_mutex_lock(&writers->lock);
		chunk_free(writers, chunk);
		pthread_cond_signal(&writers->room);
	}
	if (r == 0 && !writers->has_failed && task->is_whole) {
		pthread_mutex_unlock(&writers->lock);
		r = place_file_end(&file, &err);
		report_add(writers->input->report, 0, 1);
		pthread_mutex_lock(&writers->lock);
	}
	place_file_abandon(&file);
	if (r && !writers->has_failed) {
		writers->has_failed = true;
		writers->err = err;
	}
	free(task);
}

/* Under the lock. */
static struct task *take_task(struct tar_writers *writers, bool only_whole)
{
	struct list *first = writers->queue.next;

	if (list_is_empty(&writers->queue))
		return NULL;
	if (only_whole && !container_of(first, struct task, link)->is_whole)
		return NULL;
	list_remove(first);
	return container_of(first, struct task, link);
}

static void *work(void *data)
{
	struct sha256 *sha256 = sha256_new();
	struct tar_writers *writers = data;
	struct task *task;

	pthread_mutex_lock(&writers->lock);
	while ((task = take_task(writers, false)) || !writers->is_ending) {
		if (task)
			run_task(writers, task, sha256);
		else
			pthread_cond_wait(&writers->work, &writers->lock);
	}
	pthread_mutex_unlock(&writers->lock);
	sha256_free(sha256);
	return NULL;
}

/* ---- the decoder's side */

int tar_writers_new(const struct archive_input *input, struct tar_writers **ret, struct error *err)
{
	_cleanup_(tar_writers_freep) struct tar_writers *writers = new0(struct tar_writers);
	size_t wanted = input->threads > 1 ? input->threads - 1 : 1;

	writers->input = input;
	writers->sha256 = sha256_new();
	list_init(&writers->queue);
	list_init(&writers->spare);
	pthread_mutex_init(&writers->lock, NULL);
	pthread_cond_init(&writers->work, NULL);
	pthread_cond_init(&writers->room, NULL);
	for (; writers->started < wanted && writers->started < MAX_WRITERS; writers->started++)
		if (pthread_create(&writers->threads[writers->started], NULL, work, writers))
			return fail(err, -EAGAIN, "INTERNAL_ERROR", "cannot start a thread");
	*ret = STEAL(writers);
	return 0;
}

static void free_task(struct tar_writers *writers, struct task *task)
{
	struct list *link;

	while ((link = list_pop(&task->chunks)))
		chunk_free(writers, container_of(link, struct chunk, link));
	free(task);
}

static void end_threads(struct tar_writers *writers)
{
	size_t i;

	pthread_mutex_lock(&writers->lock);
	writers->is_ending = true;
	pthread_cond_broadcast(&writers->work);
	pthread_mutex_unlock(&writers->lock);
	for (i = 0; i < writers->started; i++)
		pthread_join(writers->threads[i], NULL);
	writers->started = 0;
}

struct tar_writers *tar_writers_free(struct tar_writers *writers)
{
	struct list *link;

	if (!writers)
		return NULL;
	pthread_mutex_lock(&writers->lock);
	writers->has_failed = true;
	/* Once it is queued, it is for whoever takes it. */
	if (writers->current && !writers->current->is_queued)
		free_task(writers, writers->current);
	pthread_mutex_unlock(&writers->lock);
	end_threads(writers);
	while ((link = list_pop(&writers->spare)))
		free(container_of(link, struct chunk, link));
	sha256_free(writers->sha256);
	pthread_mutex_destroy(&writers->lock);
	pthread_cond_destroy(&writers->work);
	pthread_cond_destroy(&writers->room);
	free(writers);
	return NULL;
}

void tar_writers_begin(struct tar_writers *writers, struct place_entry *entry)
{
	struct task *task = new0(struct task);

	task->entry = entry;
	list_init(&task->chunks);
	writers->current = task;
	writers->current_bytes = 0;
}

/* Under the lock: until there is room, or a failure makes it unnecessary. */
static int make_room(struct tar_writers *writers, struct error *err)
{
	struct task *task;

	while (writers->queued > QUEUE_BYTES && !writers->has_failed) {
		task = take_task(writers, true);
		if (task)
			run_task(writers, task, writers->sha256);
		else
			pthread_cond_wait(&writers->room, &writers->lock);
	}
	if (!writers->has_failed)
		return 0;
	*err = writers->err;
	return err->r;
}

/* Adds to the current file, and queues it when it is large or whole. */
static int add_chunk(
	struct tar_writers *writers, struct chunk *chunk, bool is_whole, struct error *err)
{
	struct task *task = writers->current;
	int r;

	pthread_mutex_lock(&writers->lock);
	r = make_room(writers, err);
	writers->queued += chunk->cost;
	writers->current_bytes += chunk->size;
	list_add(&task->chunks, &chunk->link);
	task->is_whole = is_whole;
	if (task->is_queued || is_whole || writers->current_bytes > STREAM_SIZE) {
		if (!task->is_queued)
			list_add(&writers->queue, &task->link);
		task->is_queued = true;
		/* One who waits for this file's next chunk may not be the one who wakes. */
		if (writers->current_bytes > STREAM_SIZE)
			pthread_cond_broadcast(&writers->work);
		else
			pthread_cond_signal(&writers->work);
	}
	if (is_whole)
		writers->current = NULL;
	pthread_mutex_unlock(&writers->lock);
	return r;
}

static int put_one(struct tar_writers *writers, uint64_t hole, const uint8_t *data, size_t size,
	bool is_whole, struct error *err)
{
	struct chunk *chunk = chunk_new(writers, hole, data, size);

	if (!chunk)
		return fail(err, -ENOMEM, "INTERNAL_ERROR", "no memory to read an archive with");
	return add_chunk(writers, chunk, is_whole, err);
}

int tar_writers_put(struct tar_writers *writers, uint64_t hole, const void *data, size_t size,
	struct error *err)
{
	const uint8_t *at = data;
	size_t limit = is_mapped(writers, at) ? size : POOLED_SIZE, n;
	int r = 0;

	for (; size && r == 0; at += n, size -= n, hole = 0) {
		n = size < limit ? size : limit;
		r = put_one(writers, hole, at, n, false, err);
	}
	return r;
}

int tar_writers_end(struct tar_writers *writers, uint64_t hole, struct error *err)
{
	return put_one(writers, hole, NULL, 0, true, err);
}

int tar_writers_finish(struct tar_writers *writers, struct error *err)
{
	struct task *task;

	pthread_mutex_lock(&writers->lock);
	while ((task = take_task(writers, true)))
		run_task(writers, task, writers->sha256);
	pthread_mutex_unlock(&writers->lock);
	end_threads(writers);
	if (!writers->has_failed)
		return 0;
	*err = writers->err;
	return err->r;
}
