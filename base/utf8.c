#include "base/utf8.h"

#include <stdint.h>
#include <string.h>

#define HIGH_BITS UINT64_C(0x8080808080808080)

/* Bytes of the character that begins here, 0 when it is malformed. */
static size_t character_size(const uint8_t *s, size_t size)
{
	uint8_t low = 0x80, high = 0xbf;
	size_t n, i;

	if (s[0] < 0x80)
		return 1;
	if (s[0] >= 0xc2 && s[0] <= 0xdf)
		n = 2;
	else if ((s[0] & 0xf0) == 0xe0)
		n = 3;
	else if (s[0] >= 0xf0 && s[0] <= 0xf4)
		n = 4;
	else
		return 0;
	/* Second bytes that would be an overlong form, a surrogate or too large. */
	if (s[0] == 0xe0)
		low = 0xa0;
	else if (s[0] == 0xed)
		high = 0x9f;
	else if (s[0] == 0xf0)
		low = 0x90;
	else if (s[0] == 0xf4)
		high = 0x8f;
	if (size < n || s[1] < low || s[1] > high)
		return 0;
	for (i = 2; i < n; i++)
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	return n;
}

bool utf8_is_valid(const char *text, size_t size)
{
	const uint8_t *s = (const uint8_t *)text, *end = s + size;
	uint64_t eight;
	size_t n;

	while (s < end) {
		if (end - s >= 8) {
			memcpy(&eight, s, 8);
			if (!(eight & HIGH_BITS)) {
				s += 8;
				continue;
			}
		}
		n = character_size(s, (size_t)(end - s));
		if (!n)
			return false;
		s += n;
	}
	return true;
}

size_t utf8_cut(const char *text, size_t size, size_t limit)
{
	if (size <= limit)
		return size;
	while (limit && ((uint8_t)text[limit] & 0xc0) == 0x80)
		limit--;
	return limit;
}

void utf8_repair(char *text, size_t size)
{
	size_t i = 0, n;

	while (i < size) {
		n = character_size((const uint8_t *)text + i, size - i);
		if (!n)
			text[i] = '?';
		i += n ? n : 1;
	}
}
