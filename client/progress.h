#pragma once
/*
 * One line on the terminal that says how far a create is. Where standard error is no
 * terminal, nothing is shown. One thread.
 */
#include <stdbool.h>
#include <stdio.h>
#include "client/pyenvd.h"

struct progress {
	FILE *file; /* borrowed; NULL: nothing is shown */
	Pyenvd__V1__Progress **sources; /* owned copies: the last of each source */
	size_t source_count;
	bool is_shown;
};

/* Looks whether @file is a terminal that can take it. */
void progress_init(struct progress *progress, FILE *file);
/* Takes the line away. */
void progress_deinit(struct progress *progress);

/* For struct pyenvd_watcher; @data is the struct progress. */
void progress_update(const Pyenvd__V1__Progress *event, void *data);

/* The line, at most @width characters; the caller frees it. */
char *progress_format(const struct progress *progress, size_t width);
