#pragma once
/*
 * What an installer prints: written to a log, without the secrets that URLs carry, and
 * bounded; its end kept for the message of a failure.
 */
#include <stdbool.h>
#include <stdint.h>
#include "base/buffer.h"

#define INSTALL_OUTPUT_LINE 4096
#define INSTALL_OUTPUT_TAIL (64 * 1024)

struct install_output {
	int fd; /* of the log; borrowed; -1: none */
	uint64_t room; /* bytes that the log may still get */
	struct buffer line; /* what has come of a line */
	bool has_returned; /* its last byte was a carriage return */
	bool is_cut; /* the line was longer than INSTALL_OUTPUT_LINE: its rest is dropped */
	struct buffer tail; /* the last lines, UTF-8, each with its end */
};

void install_output_init(struct install_output *output, int fd, uint64_t room);
void install_output_deinit(struct install_output *output);
void install_output_add(struct install_output *output, const uint8_t *bytes, size_t size);
/* A line that did not end has ended. */
void install_output_end(struct install_output *output);
/* What comes is that of a new try. */
void install_output_forget(struct install_output *output);
/* The last lines, at most @size bytes with the NUL, beginning with a whole line. */
void install_output_get_tail(const struct install_output *output, char *ret, size_t size);

/* Takes "user:password@" out of each URL in a text with a NUL. */
void install_output_scrub(char *text);
