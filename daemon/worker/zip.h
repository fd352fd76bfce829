#pragma once
/* Reading zip archives; the one door to libzip. */
#include "daemon/worker/archive-input.h"

/* By its first or last bytes. */
bool zip_recognise(const struct source *source);
/* All entries into the place; links are left to place_finish_links(). */
int zip_extract(const struct archive_input *input, struct error *err);
