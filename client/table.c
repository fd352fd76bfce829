#include "client/table.h"

#include <assert.h>
#include <stdarg.h>
#include <stdbool.h>
#include <string.h>
#include "client/format.h"

#define FACT_WIDTH 21

void table_deinit(struct table *table)
{
	size_t i;

	for (i = 0; i < table->count; i++)
		free(table->cells[i]);
	free(table->cells);
	table->cells = NULL;
	table->count = table->allocated = 0;
}

void table_add(struct table *table, char *cell)
{
	char **cells;

	if (table->count == table->allocated) {
		table->allocated = table->allocated ? table->allocated * 2 : 64;
		cells = new0_array(char *, table->allocated);
		if (table->count)
			memcpy(cells, table->cells, table->count * sizeof(*cells));
		free(table->cells);
		table->cells = cells;
	}
	if (text_is_empty(cell)) {
		free(cell);
		cell = text_copy("-");
	}
	table->cells[table->count++] = format_clean(cell, false);
}

/* Characters, not bytes: what is no beginning of one does not count. */
static size_t width_of(const char *text)
{
	size_t width = 0;

	for (; *text; text++)
		if (((unsigned char)*text & 0xc0) != 0x80)
			width++;
	return width;
}

static const char *header_of(const struct table *table, size_t column)
{
	const char *header = table->headers[column];

	return header + (*header == '>');
}

static size_t column_width(const struct table *table, size_t column)
{
	size_t width = width_of(header_of(table, column)), i;

	for (i = column; i < table->count; i += table->columns)
		if (width_of(table->cells[i]) > width)
			width = width_of(table->cells[i]);
	return width;
}

static void print_cell(
	const struct table *table, size_t column, size_t width, const char *text, FILE *file)
{
	int padding = (int)(width - width_of(text));
	bool is_last = column + 1 == table->columns;

	if (*table->headers[column] == '>')
		fprintf(file, "%*s%s", padding, "", text);
	else
		fprintf(file, "%s%*s", text, is_last ? 0 : padding, "");
	fputs(is_last ? "\n" : "  ", file);
}

void table_print(const struct table *table, FILE *file)
{
	_cleanup_free_ size_t *widths = new0_array(size_t, table->columns);
	size_t i, column;

	assert(table->count % table->columns == 0);
	for (i = 0; i < table->columns; i++)
		widths[i] = column_width(table, i);
	for (i = 0; i < table->columns; i++)
		print_cell(table, i, widths[i], header_of(table, i), file);
	for (i = 0; i < table->count; i++) {
		column = i % table->columns;
		print_cell(table, column, widths[column], table->cells[i], file);
	}
}

void table_print_fact(FILE *file, const char *name, const char *format, ...)
{
	_cleanup_free_ char *value = NULL;
	va_list args;
	int n;

	va_start(args, format);
	value = text_vformat(format, args);
	va_end(args);
	n = fprintf(file, "%s:", name);
	fprintf(file, "%*s%s\n", n < FACT_WIDTH ? FACT_WIDTH - n : 1, "",
		*value ? format_clean(value, false) : "-");
}
