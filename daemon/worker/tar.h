#pragma once
/* Reading tar archives; with tar.c the one door to libarchive. */
#include "daemon/worker/archive-input.h"

/* By its first bytes: a tar, or what is compressed in a way that is known. */
bool tar_recognise(const struct source *source);
/* All entries into the place; links are left to place_finish_links(). @format: of the
 * stream around it, for messages and for whoever asks. */
int tar_extract(const struct archive_input *input, const char **format, struct error *err);
