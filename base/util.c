#include "base/util.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/random.h>
#include <unistd.h>

void *alloc0(size_t count, size_t size)
{
	void *p = calloc(count ? count : 1, size ? size : 1);

	if (!p)
		abort();
	return p;
}

void *grow_array(void *rows, size_t count, size_t size)
{
	uint8_t *grown = reallocarray(rows, count + 1, size);

	if (!grown)
		abort();
	memset(grown + count * size, 0, size);
	return grown;
}

char *text_copy(const char *text)
{
	char *copy;

	if (!text)
		return NULL;
	copy = strdup(text);
	if (!copy)
		abort();
	return copy;
}

char *text_vformat(const char *format, va_list args)
{
	char *text;

	if (vasprintf(&text, format, args) < 0)
		abort();
	return text;
}

char *text_format(const char *format, ...)
{
	va_list args;
	char *text;

	va_start(args, format);
	text = text_vformat(format, args);
	va_end(args);
	return text;
}

bool text_starts_with(const char *text, const char *start)
{
	return strncmp(text, start, strlen(start)) == 0;
}

bool text_ends_with(const char *text, const char *end)
{
	size_t n = strlen(text), m = strlen(end);

	return n >= m && strcmp(text + n - m, end) == 0;
}

static int parse_number(const char *text, uint64_t *ret, const char **rest)
{
	unsigned long long value;
	char *end;

	if (!isdigit((unsigned char)text[0]))
		return -EINVAL;
	errno = 0;
	value = strtoull(text, &end, 10);
	if (errno)
		return -errno;
	*ret = value;
	*rest = end;
	return 0;
}

int parse_u64(const char *text, uint64_t *ret)
{
	const char *rest;
	uint64_t value;
	int r;

	r = parse_number(text, &value, &rest);
	if (r)
		return r;
	if (*rest)
		return -EINVAL;
	*ret = value;
	return 0;
}

int parse_bytes(const char *text, uint64_t *ret)
{
	static const char units[] = "KMGT";
	const char *rest, *unit;
	uint64_t value;
	int r, shift = 0;

	r = parse_number(text, &value, &rest);
	if (r)
		return r;
	if (*rest) {
		unit = strchr(units, toupper((unsigned char)*rest));
		if (!unit || rest[1])
			return -EINVAL;
		shift = 10 * (int)(unit - units + 1);
	}
	if (value > UINT64_MAX >> shift)
		return -ERANGE;
	*ret = value << shift;
	return 0;
}

void hex_format(const void *bytes, size_t size, char *hex)
{
	static const char digits[] = "0123456789abcdef";
	const unsigned char *b = bytes;
	size_t i;

	for (i = 0; i < size; i++) {
		hex[2 * i] = digits[b[i] >> 4];
		hex[2 * i + 1] = digits[b[i] & 15];
	}
	hex[2 * size] = 0;
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

int hex_parse(const char *hex, void *bytes, size_t size)
{
	unsigned char *b = bytes;
	size_t i;

	if (strlen(hex) != 2 * size)
		return -EINVAL;
	for (i = 0; i < size; i++) {
		int high = hex_digit(hex[2 * i]), low = hex_digit(hex[2 * i + 1]);

		if (high < 0 || low < 0)
			return -EINVAL;
		b[i] = (unsigned char)(high << 4 | low);
	}
	return 0;
}

void random_id(char *ret, size_t length)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyz234567";
	size_t i;

	if (getentropy(ret, length))
		abort();
	for (i = 0; i < length; i++)
		ret[i] = letters[(unsigned char)ret[i] & 31];
	ret[length] = 0;
}

void random_uuid(char ret[37])
{
	static const size_t groups[] = { 4, 2, 2, 2, 6 };
	unsigned char bytes[16], *at = bytes;
	size_t i;

	if (getentropy(bytes, sizeof(bytes)))
		abort();
	bytes[6] = (bytes[6] & 0x0f) | 0x40;
	bytes[8] = (bytes[8] & 0x3f) | 0x80;
	for (i = 0; i < ARRAY_SIZE(groups); i++) {
		hex_format(at, groups[i], ret);
		at += groups[i];
		ret += 2 * groups[i];
		*ret++ = '-';
	}
	ret[-1] = 0;
}

void timed_id(char *ret, size_t length, int64_t unix_ms)
{
	static const char digits[] = "234567abcdefghijklmnopqrstuvwxyz";
	size_t i;

	assert(length > TIMED_ID_TIME);
	random_id(ret, length);
	for (i = TIMED_ID_TIME; i-- > 0; unix_ms >>= 5)
		ret[i] = digits[unix_ms & 31];
}

void cleanup_free(void *p)
{
	free(*(void **)p);
}

void cleanup_close(int *fd)
{
	if (*fd >= 0)
		close(*fd);
}
