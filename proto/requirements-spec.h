#pragma once
/*
 * What one requirement asks for (PEP 508, or a URL alone). Pure.
 */
#include <stdbool.h>
#include "base/error.h"

struct requirements_spec {
	/* It names one content: a version by == or ===, a URL with a digest or a commit. */
	bool is_pinned;
	bool is_url;
	bool needs_pip; /* uv cannot install it */
};

/* Whatever is on the disk already is refused: a path, an archive, file:. */
int requirements_spec_parse(const char *text, struct requirements_spec *ret, struct error *err);

/* Whether it is the name of a package's file, as pip sees it: .whl, .tar.gz, .zip, … */
bool requirements_spec_is_archive(const char *name, size_t size);
