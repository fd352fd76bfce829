#include "base/base64.h"

#include <errno.h>

void base64_encode(const uint8_t *data, size_t size, struct buffer *ret)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	uint8_t *at = buffer_reserve(ret, size * 4 / 3 + 4);
	uint32_t bits = 0;
	unsigned count = 0;

	while (size--) {
		bits = bits << 8 | *data++;
		for (count += 8; count >= 6; count -= 6)
			*at++ = (uint8_t)digits[bits >> (count - 6) & 63];
	}
	if (count)
		*at++ = (uint8_t)digits[bits << (6 - count) & 63];
	ret->size = (size_t)(at - ret->data);
}

static int base64_value(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	if (c == '+')
		return 62;
	return c == '/' ? 63 : -1;
}

int base64_decode(const char *text, size_t size, struct buffer *ret)
{
	uint32_t bits = 0;
	unsigned count = 0;
	uint8_t *at;
	int value;

	if (size % 4 == 0 && size && text[size - 1] == '=')
		size -= text[size - 2] == '=' ? 2 : 1;
	at = buffer_reserve(ret, size);
	while (size--) {
		value = base64_value(*text++);
		if (value < 0)
			return -EBADMSG;
		bits = bits << 6 | (uint32_t)value;
		count += 6;
		if (count >= 8) {
			count -= 8;
			*at++ = (uint8_t)(bits >> count);
		}
	}
	ret->size = (size_t)(at - ret->data);
	return 0;
}
