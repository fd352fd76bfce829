#include "daemon/worker/report.h"

#include <pthread.h>
#include "base/clock.h"

#define INTERVAL_US 100000

struct report {
	struct report_sink sink;
	pthread_mutex_t lock;
	enum report_phase phase;
	uint64_t done_bytes, total_bytes, done_entries, told_us;
};

struct report *report_new(const struct report_sink *sink)
{
	struct report *report = new0(struct report);

	report->sink = *sink;
	pthread_mutex_init(&report->lock, NULL);
	return report;
}

struct report *report_free(struct report *report)
{
	if (!report)
		return NULL;
	pthread_mutex_destroy(&report->lock);
	free(report);
	return NULL;
}

void report_opened(struct report *report, const struct fs_identity *file)
{
	pthread_mutex_lock(&report->lock);
	if (report->sink.opened)
		report->sink.opened(report->sink.data, file);
	pthread_mutex_unlock(&report->lock);
}

void report_digested(
	struct report *report, const struct fs_identity *file, const uint8_t sha256[SHA256_SIZE])
{
	pthread_mutex_lock(&report->lock);
	if (report->sink.digested)
		report->sink.digested(report->sink.data, file, sha256);
	pthread_mutex_unlock(&report->lock);
}

/* Under the lock. */
static void tell(struct report *report)
{
	report->told_us = clock_now_us();
	if (report->sink.progress)
		report->sink.progress(report->sink.data, report->phase, report->done_bytes,
			report->total_bytes, report->done_entries);
}

void report_phase(struct report *report, enum report_phase phase, uint64_t total_bytes)
{
	pthread_mutex_lock(&report->lock);
	report->phase = phase;
	report->total_bytes = total_bytes;
	report->done_bytes = report->done_entries = 0;
	tell(report);
	pthread_mutex_unlock(&report->lock);
}

void report_add(struct report *report, uint64_t bytes, uint64_t entries)
{
	pthread_mutex_lock(&report->lock);
	report->done_bytes += bytes;
	report->done_entries += entries;
	if (clock_now_us() - report->told_us >= INTERVAL_US)
		tell(report);
	pthread_mutex_unlock(&report->lock);
}
