#pragma once
/*
 * Small things that every file uses: cleanup variables, allocation that cannot
 * fail, text, hex. Any thread.
 */
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define _cleanup_(f) __attribute__((cleanup(f)))
#define _printf_(a, b) __attribute__((format(printf, a, b)))

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

/* Takes the value out of a variable and leaves nothing behind. */
#define STEAL(p)                                                                                   \
	({                                                                                         \
		__typeof__(p) *steal_from = &(p);                                                  \
		__typeof__(p) stolen = *steal_from;                                                \
		*steal_from = (__typeof__(p)){ 0 };                                                \
		stolen;                                                                            \
	})

/* The same for a descriptor, which is -1 when there is none. */
static inline int steal_fd(int *fd)
{
	int stolen = *fd;

	*fd = -1;
	return stolen;
}

#define container_of(pointer, type, member)                                                        \
	((type *)(void *)((char *)(pointer)-offsetof(type, member)))

/* Zeroed memory whose size we chose; ends the program when there is none. For
 * sizes from outside: compare with a limit, then malloc(). */
void *alloc0(size_t count, size_t size);
#define new0(type) ((type *)alloc0(1, sizeof(type)))
#define new0_array(type, count) ((type *)alloc0((count), sizeof(type)))
/* The array @rows of @count rows (NULL: none), and one more, zeroed; takes @rows. As alloc0(). */
void *grow_array(void *rows, size_t count, size_t size);

/* Never NULL; NULL stays NULL. */
char *text_copy(const char *text);
char *text_format(const char *format, ...) _printf_(1, 2);
char *text_vformat(const char *format, va_list args) _printf_(1, 0);

/* NULL and "" are the same to us. */
static inline bool text_is_empty(const char *text)
{
	return !text || !*text;
}

static inline bool text_equal(const char *a, const char *b)
{
	return strcmp(a ? a : "", b ? b : "") == 0;
}

bool text_starts_with(const char *text, const char *start);
bool text_ends_with(const char *text, const char *end);

/* Whole decimal number that fits; -EINVAL, -ERANGE. */
int parse_u64(const char *text, uint64_t *ret);
/* The same with an optional K, M, G or T (powers of 1024). */
int parse_bytes(const char *text, uint64_t *ret);

/* @hex gets 2 * size digits and a NUL. */
void hex_format(const void *bytes, size_t size, char *hex);
/* Exactly @size bytes; -EINVAL. */
int hex_parse(const char *hex, void *bytes, size_t size);

/* @length random characters of a-z and 2-7, and a NUL: for ids in paths. */
void random_id(char *ret, size_t length);

/* A random UUID (version 4) as text, with its NUL. */
void random_uuid(char ret[37]);

#define TIMED_ID_TIME 9
/* The same, of which the first TIMED_ID_TIME are the time in milliseconds (2-7 before a-z),
 * so that ids made later sort later. @length is more than that. */
void timed_id(char *ret, size_t length, int64_t unix_ms);

void cleanup_free(void *p); /* for _cleanup_ on any pointer from malloc */
void cleanup_close(int *fd); /* for _cleanup_ on a descriptor; ignores -1 */

#define _cleanup_free_ _cleanup_(cleanup_free)
#define _cleanup_close_ _cleanup_(cleanup_close)

/* Defines f##p(T **) for _cleanup_, from T *f(T *). */
#define DEFINE_CLEANUP(type, f)                                                                    \
	static inline void f##p(type *p)                                                           \
	{                                                                                          \
		if (*p)                                                                            \
			f(*p);                                                                     \
	}                                                                                          \
	struct semicolon_wanted
