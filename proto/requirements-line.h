#pragma once
/*
 * One line of a requirements file: a requirement with what belongs to it, options, or
 * the name of another file. Pure.
 */
#include <stdbool.h>
#include "base/buffer.h"
#include "base/error.h"

enum requirements_kind {
	REQUIREMENTS_REQUIREMENT,
	REQUIREMENTS_OPTIONS,
	REQUIREMENTS_INCLUDE, /* -r */
	REQUIREMENTS_CONSTRAINT, /* -c */
};

struct requirements_option {
	const struct requirements_option_kind *kind; /* static */
	char *value; /* owned; NULL where it takes none */
};

struct requirements_line {
	enum requirements_kind kind;
	char *text; /* owned: the requirement, or the file's name; NULL with mere options */
	struct requirements_option *options; /* owned */
	size_t option_count;
	bool is_pinned, is_url; /* of a requirement: as in struct requirements_spec */
	bool needs_pip; /* uv does not heed all of it */
	size_t index_count; /* --index-url: uv takes one in all */
};

/* @text is from requirements_scan_next(). @offline: a requirement that is a URL is refused,
 * and options that say where to look on a network are checked and forgotten. Fills @ret
 * only on success. */
int requirements_line_parse(
	const char *text, bool offline, struct requirements_line *ret, struct error *err);
void requirements_line_deinit(struct requirements_line *line);

/* What a requirement is for, to be shown to people: name, extras, versions and marker. Of one
 * that is a URL the name and "@ …"; nothing that is in a URL. Owned; NULL of a URL alone,
 * and of what is no requirement. */
char *requirements_line_specifier(const struct requirements_line *line);

/* Appends the one form of a requirement or of options, each option on a line of its own, as
 * pip and uv read it and as this reads it again; each line with its newline.
 * @is_public: without users and passwords in URLs. */
void requirements_line_format(
	const struct requirements_line *line, bool is_public, struct buffer *ret);
