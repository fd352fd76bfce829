/*
 * A digest of requirements is that of many files, and of a directory that more may come to.
 * It is right as long as each of them, the directory included, is what it was; that is
 * looked up without waiting (as locate.c does), and costs a few microseconds a file.
 *
 * As with other digests (digests.c), one is only kept when nothing of it can have changed
 * without a trace since it was read.
 */
#include "daemon/core/readings.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <unistd.h>
#include "base/log.h"
#include "base/map.h"
#include "daemon/core/digests.h"
#include "daemon/core/flight.h"

#define MAX_KNOWN 256

struct known {
	struct map_node node; /* readings.known */
	struct list link; /* readings.by_use: the least recently used first */
	char *key; /* owned */
	struct readings_files files;
	struct reading reading; /* its files are these */
};

struct readings {
	struct core *core;
	struct map known; /* of known.node */
	struct list by_use; /* of known.link */
	struct flights flights; /* of reading_work.flight */
};

struct reading_work {
	struct flight flight;
	struct readings *readings;
	char *path, *packages; /* owned */
	struct uploaded *uploaded; /* a reference */
	struct reading reading;
};

void reading_copy(struct reading *to, const struct reading *from)
{
	*to = *from;
	to->specifiers = text_copy(from->specifiers);
}

void reading_deinit(struct reading *reading)
{
	free(reading->specifiers);
	*reading = (struct reading){ 0 };
}

/* What was uploaded is told by the name that it had. */
struct readings_subject readings_subject_of(
	const struct spec *spec, struct uploaded *uploaded, const struct peer *peer)
{
	const struct spec_requirements *requirements = &spec->requirements;

	return (struct readings_subject){
		.path = requirements->file_count ? requirements->files[0].name : requirements->path,
		.packages = requirements->packages,
		.uploaded = uploaded,
		.peer = peer,
	};
}

static char *format_key(const struct readings_subject *subject)
{
	if (subject->uploaded)
		return text_format("%s/uploads/%s", subject->peer->reader,
			uploaded_get_key(subject->uploaded));
	/* A path has no NUL, but may have anything else. */
	return text_format("%s/%zu/%s/%s", subject->peer->reader, strlen(subject->path),
		subject->path, subject->packages ? subject->packages : "");
}

/* ---- those that are known */

void readings_files_deinit(struct readings_files *files)
{
	size_t i;

	for (i = 0; i < files->count; i++) {
		free((char *)files->rows[i].path);
		free((char *)files->rows[i].name);
	}
	free(files->rows);
	*files = (struct readings_files){ 0 };
}

void readings_files_copy(struct readings_files *to, const struct readings_files *from)
{
	size_t i;

	to->count = from->count;
	to->rows = new0_array(struct job_file, from->count);
	for (i = 0; i < from->count; i++) {
		to->rows[i] = from->rows[i];
		to->rows[i].path = text_copy(from->rows[i].path);
		to->rows[i].name = text_copy(from->rows[i].name);
	}
}

static void known_free(struct readings *readings, struct known *known)
{
	map_remove(&readings->known, &known->node);
	list_remove(&known->link);
	readings_files_deinit(&known->files);
	free(known->key);
	reading_deinit(&known->reading);
	free(known);
}

/* As the peer. */
static bool is_unchanged(const struct job_file *file)
{
	_cleanup_close_ int fd = fs_openat2(AT_FDCWD, file->path, O_PATH, 0, RESOLVE_CACHED);
	struct fs_identity identity;
	enum fs_type type;

	return fd >= 0 && fs_identify(fd, "", &identity, &type) == 0 &&
		fs_identity_equal(&identity, &file->identity);
}

bool readings_look(
	struct readings *readings, const struct readings_subject *subject, struct reading *ret)
{
	_cleanup_free_ char *key = format_key(subject);
	struct map_node *node = map_find(&readings->known, key);
	struct known *known;
	size_t i;

	if (!node)
		return false;
	known = container_of(node, struct known, node);
	/* Nobody can change what was uploaded. */
	for (i = 0; i < known->files.count && !subject->uploaded; i++)
		if (!is_unchanged(&known->files.rows[i]))
			return false;
	list_remove(&known->link);
	list_add(&readings->by_use, &known->link);
	reading_copy(ret, &known->reading);
	return true;
}

static void learn(const struct reading_work *work, const struct job_result *result)
{
	struct readings *readings = work->readings;
	struct map_node *before = map_find(&readings->known, work->flight.key);
	struct known *known;
	size_t i;

	if (before)
		known_free(readings, container_of(before, struct known, node));
	if (!result->file_count)
		return;
	for (i = 0; i < result->file_count && !work->uploaded; i++)
		if (!digests_may_keep(&result->files[i].identity, work->flight.begun))
			return;
	known = new0(struct known);
	known->key = text_copy(work->flight.key);
	reading_copy(&known->reading, &work->reading);
	readings_files_copy(&known->files, work->reading.files);
	known->reading.files = &known->files;
	map_add(&readings->known, &known->node, known->key);
	list_add(&readings->by_use, &known->link);
	if (readings->known.count > MAX_KNOWN)
		known_free(readings, container_of(list_pop(&readings->by_use), struct known, link));
}

/* ---- reading */

static void on_over(struct flight *flight)
{
	struct reading_work *work = container_of(flight, struct reading_work, flight);

	flight_deinit(flight);
	free(work->path);
	free(work->packages);
	reading_deinit(&work->reading);
	uploaded_unref(work->uploaded);
	free(work);
}

static void on_done(
	struct job *job, int r, const struct job_result *result, const struct error *err)
{
	struct reading_work *work = container_of(job, struct reading_work, flight.job);
	struct readings_files files;

	if (r == 0) {
		files = (struct readings_files){
			(struct job_file *)result->files,
			result->file_count,
		};
		work->reading.files = &files;
		hex_format(result->sha256, SHA256_SIZE, work->reading.sha256);
		work->reading.needs_pip = result->needs_pip;
		free(work->reading.specifiers);
		work->reading.specifiers = text_copy(result->specifiers);
		work->reading.is_pinned = result->is_pinned;
		work->reading.count = result->requirement_count;
		log_info("requirements-read", "path='%s' count=%u pinned=%s digest=%s",
			LOG_TEXT(work->path), result->requirement_count,
			result->is_pinned ? "yes" : "no", work->reading.sha256);
		learn(work, result);
	}
	flight_end(&work->flight, r ? err : NULL);
}

struct reading_work *readings_begin(
	struct readings *readings, const struct readings_subject *subject)
{
	_cleanup_free_ char *key = format_key(subject);
	struct flight *flight = flights_find(&readings->flights, key);
	struct reading_work *work;

	if (flight)
		return container_of(flight, struct reading_work, flight);
	work = new0(struct reading_work);
	work->readings = readings;
	work->path = text_copy(subject->path);
	work->packages = text_copy(subject->packages);
	work->uploaded = uploaded_ref(subject->uploaded);
	flight = &work->flight;
	flight_init(flight, &readings->flights, key, subject->peer);
	flight->over = on_over;
	flight->job = (struct job){
		.kind = JOB_REQUIREMENTS,
		.peer = &flight->identity,
		.requirements = {
			.path = work->path,
			.packages = work->packages,
			.threads = readings->core->config.threads,
			.uploads = uploaded_get_files(work->uploaded),
		},
		.done = on_done,
	};
	return work;
}

struct creation *reading_work_creation(struct reading_work *work)
{
	return work->flight.creation;
}

const struct reading *reading_work_result(const struct reading_work *work)
{
	return &work->reading;
}

struct readings *readings_new(struct core *core)
{
	struct readings *readings = new0(struct readings);

	readings->core = core;
	flights_init(&readings->flights, core);
	list_init(&readings->by_use);
	return readings;
}

struct readings *readings_free(struct readings *readings)
{
	struct list *link;

	if (!readings)
		return NULL;
	while ((link = list_pop(&readings->by_use)))
		known_free(readings, container_of(link, struct known, link));
	map_deinit(&readings->known);
	flights_deinit(&readings->flights);
	free(readings);
	return NULL;
}
