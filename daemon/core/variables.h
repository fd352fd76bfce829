#pragma once
/*
 * The variables of an environment, in the order that Flink gives them: what is in
 * front wins. Pure.
 */
#include "proto/spec.h"

struct variables {
	struct spec_variable *rows; /* owned; sorted by name */
	size_t count;
};

void variables_deinit(struct variables *variables);

/* Where things are. Borrowed. */
struct variables_places {
	const char *base_directory, *working_directory;
	const char *interpreter; /* absolute; NULL: none */
	const char *home; /* what it needs as PYTHONHOME; NULL: nothing */
	bool interpreter_is_in_layer; /* then its directory goes on PATH */
	/* What requirements were installed into, or NULL; what of it goes in front of
	 * PYTHONPATH and of PATH, absolute, separated by ':'. */
	const char *requirements, *site, *scripts;
	const char *const *file_entries; /* what each Python file puts on PYTHONPATH */
};

void variables_compute(
	const struct spec *spec, const struct variables_places *places, struct variables *ret);
