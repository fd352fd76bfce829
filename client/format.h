#pragma once
/* Values as people read them. Texts are owned by the caller and never NULL. Any
 * thread. */
#include <stdbool.h>
#include <stdint.h>

/* "17 B", "1.2 GiB". */
char *format_bytes(uint64_t bytes);
/* Up to two units: "3s", "5m", "2h10m", "4d2h". Negative is "0s". */
char *format_span(int64_t ms);
/* From then to now, and from now to then; what is left is rounded up. */
char *format_age(int64_t unix_ms);
char *format_left(int64_t unix_ms);
/* Local, ISO 8601: "2026-11-21T06:38:09+01:00"; "-" for 0. */
char *format_time(int64_t unix_ms);
/* "312 µs", "1.5 ms", "12.3 s". */
char *format_us(uint64_t us);
/* One word of a shell, in single quotes. */
char *format_shell(const char *text);
/* So that no text from elsewhere moves the cursor or colours the terminal: control
 * characters, broken UTF-8 and U+0080-U+009F become '?', in place; with @keep_lines,
 * newlines and tabs stay. Returns @text. */
char *format_clean(char *text, bool keep_lines);
