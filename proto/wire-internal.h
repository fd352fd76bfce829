#pragma once
/* What the parts of wire share. */
#include "proto/wire.h"
#include "worker.pb-c.h"

/* ---- wire-requirements.c */

/* A message and what it points into. */
struct wire_requirements {
	Pyenvd__Worker__Requirements message;
	Pyenvd__Worker__Uploads uploads;
	Pyenvd__Worker__Uploads__File *rows, **pointers; /* owned */
};

/* Borrows @in; to be deinited. */
Pyenvd__Worker__Requirements *wire_from_requirements(
	const struct job_requirements *in, struct wire_requirements *ret);
void wire_requirements_deinit(struct wire_requirements *requirements);
int wire_to_read(const Pyenvd__Worker__RequirementsRead *read, struct job_result *result,
	struct wire_kept *kept);
