#pragma once
/*
 * Command lines, from tables: the same rows take options and make the help. Any
 * thread.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include "base/error.h"

/* One option. A table ends with an empty row. */
struct argument {
	const char *name; /* "archive" for --archive */
	char letter; /* 'q' for -q; 0: none */
	const char *value; /* what help calls its value; NULL: it takes none */
	const char *help; /* lines, each ended by \n but the last */
	/* @value is NULL if it takes none; else it lives as long as argv. */
	int (*take)(void *data, const char *value, struct error *err);
};

struct argument_set {
	const struct argument *rows; /* may be NULL */
	void *data; /* for take() */
};

struct arguments {
	const struct argument_set *sets;
	size_t set_count;
	/* The first word ends the options: what follows is somebody else's. */
	bool is_command;
	/* Filled: what is no option. */
	char **words; /* owned, with a NULL at the end; the texts are argv's */
	size_t word_count;
};

/* @argv without the program's name. -EINVAL with words for the user. May be called
 * again: words are added. */
int arguments_parse(struct arguments *arguments, int argc, char **argv, struct error *err);
void arguments_deinit(struct arguments *arguments);

void arguments_print_help(const struct argument *rows, FILE *file);
