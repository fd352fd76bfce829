#pragma once
/*
 * The text of a requirements file as the lines that say something. Pure.
 */
#include <stddef.h>
#include "base/error.h"

/* To begin: the whole text, borrowed, and its size; the rest is 0. */
struct requirements_scan {
	const char *text; /* what is left of it */
	size_t size;
	unsigned read; /* how many lines of the file were */
	unsigned number; /* of the line that was given last, or was refused: where it began */
};

/* The next one: joined where it was continued, without comment, not empty, with nothing
 * but its own characters at both ends; owned. NULL at the end. */
int requirements_scan_next(struct requirements_scan *scan, char **ret, struct error *err);
