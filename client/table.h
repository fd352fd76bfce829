#pragma once
/*
 * Aligned text for terminals. Cells are cleaned of control characters. Any thread.
 *
 *	struct table table = { .columns = 2, .headers = headers };
 *
 *	table_add(&table, text_copy("a"));	row by row, cell by cell
 */
#include <stddef.h>
#include <stdio.h>
#include "base/util.h"

struct table {
	size_t columns;
	/* So many; those that begin with '>' stand, with what is below them, at
	 * the right of their column. */
	const char *const *headers;
	char **cells; /* owned, as are the texts */
	size_t count, allocated;
};

void table_deinit(struct table *table);
/* Takes @cell. An empty one is shown as "-". */
void table_add(struct table *table, char *cell);
/* The headers, then a line for each row. */
void table_print(const struct table *table, FILE *file);

/* One line "name: value". */
void table_print_fact(FILE *file, const char *name, const char *format, ...) _printf_(3, 4);
