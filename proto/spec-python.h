#pragma once
/*
 * Which Python executable a spec means: where it can be, and the words for why it is not
 * there. Pure.
 */
#include "proto/spec.h"

struct spec_python {
	const struct spec_archive *archive; /* the spec's; it is in this one; NULL: in none */
	const char *rest; /* the spec's; its path in that archive */
	/* Owned; absolute paths: the first that can be executed is it. None of one in an
	 * archive, until it is known where that is. */
	char **candidates;
	size_t candidate_count;
};

/* REQUEST_INVALID. Without one in the spec there is nothing to find. */
int spec_python_find(const struct spec *spec, struct spec_python *ret, struct error *err);
void spec_python_deinit(struct spec_python *python);
/* What was in its archive is in this directory. */
void spec_python_place(struct spec_python *python, const char *directory);
/* Why no candidate can be executed (@why: of the last, or -ENOENT), in words that say what
 * was tried; returns err->r. */
int spec_python_fail(const struct spec *spec, const struct spec_python *python,
	const struct error *why, struct error *err);
/* What PYTHONHOME would be for an executable in an archive, if it needs one; owned. */
char *spec_python_home(const char *path);
