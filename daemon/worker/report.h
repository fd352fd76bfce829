#pragma once
/*
 * What a job tells while it works. Any thread; calls are serialized by report.c.
 */
#include <stdint.h>
#include "base/fs.h"
#include "base/sha256.h"

struct report;

enum report_phase {
	REPORT_DIGEST,
	REPORT_EXTRACT,
	REPORT_BYTECODE,
	REPORT_FINISH,
	REPORT_INSTALL,
};

/* Who hears it. All may be NULL. */
struct report_sink {
	void (*opened)(void *data, const struct fs_identity *file);
	void (*digested)(
		void *data, const struct fs_identity *file, const uint8_t sha256[SHA256_SIZE]);
	void (*progress)(void *data, enum report_phase phase, uint64_t done_bytes,
		uint64_t total_bytes, uint64_t done_entries);
	void *data;
};

struct report *report_new(const struct report_sink *sink);
struct report *report_free(struct report *report);
DEFINE_CLEANUP(struct report *, report_free);

void report_opened(struct report *report, const struct fs_identity *file);
void report_digested(
	struct report *report, const struct fs_identity *file, const uint8_t sha256[SHA256_SIZE]);
/* Begins a phase, from 0 on; told at once. @total_bytes: 0 when not known. */
void report_phase(struct report *report, enum report_phase phase, uint64_t total_bytes);
/* So much more was done; told at most ten times a second. */
void report_add(struct report *report, uint64_t bytes, uint64_t entries);
