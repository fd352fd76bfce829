#pragma once
/* A requirements file that is to be read: where it is, and what it is called. */
#include "daemon/worker/requirements.h"
#include "daemon/worker/source.h"
#include "proto/requirements-line.h"

struct requirements_wanted {
	char *path, *name; /* owned; as in struct requirements_file */
	bool is_constraint;
};

/* What this line of @from names. */
struct requirements_wanted requirements_wanted_of(
	const struct requirements_file *from, const struct requirements_line *line);
void requirements_wanted_deinit(struct requirements_wanted *wanted);
/* @ret borrows from @wanted, or from the uploads. */
int requirements_wanted_open(const struct requirements_wanted *wanted,
	const struct requirements *requirements, struct source *ret, struct error *err);
