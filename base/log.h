#pragma once
/*
 * One line an event on standard error, with the journal's priority in front:
 *
 *	log_info("layer-ready", "id=%s bytes=%llu", id, bytes);
 *	<6>layer-ready id=abcdefgh bytes=17
 *
 * Texts from outside go in single quotes through log_text(). Any thread; a line
 * is written with one write().
 */
#include "base/error.h"
#include "base/util.h"

enum log_level {
	LOG_LEVEL_ERROR = 3,
	LOG_LEVEL_WARNING = 4,
	LOG_LEVEL_INFO = 6,
	LOG_LEVEL_DEBUG = 7,
};

/* Set once, in main(). The default is LOG_LEVEL_INFO. */
void log_set_level(enum log_level level);
/* "error", "warning", "info", "debug"; -EINVAL. */
int log_parse_level(const char *text, enum log_level *ret);

void log_event(enum log_level level, const char *event, const char *format, ...) _printf_(3, 4);

#define log_info(event, ...) log_event(LOG_LEVEL_INFO, event, __VA_ARGS__)
#define log_warning(event, ...) log_event(LOG_LEVEL_WARNING, event, __VA_ARGS__)
#define log_debug(event, ...) log_event(LOG_LEVEL_DEBUG, event, __VA_ARGS__)

/* The error's text, as an event of its own. */
void log_failure(enum log_level level, const char *event, const struct error *err);

/* @text for a log line: control characters and quotes are replaced, cut to the
 * buffer's size. Returns @buffer. */
const char *log_text(char *buffer, size_t size, const char *text);
#define LOG_TEXT(text) log_text((char[256]){ 0 }, 256, text)
