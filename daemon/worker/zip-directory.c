/*
 *	[something else] member member … directory [zip64 end, locator] end [comment]
 *
 * The end says how large the directory is and where it begins, counted from the zip's
 * first byte. The directory ends where the end begins; so if it is not where it is said
 * to be, by so much something was put in front of the zip: a program that unpacks itself.
 */
#include "daemon/worker/zip-directory.h"

#include <string.h>

#define END_SIZE 22
#define MAX_COMMENT 65535
#define LOCATOR_SIZE 20
#define END64_SIZE 56
#define HEADER_SIZE 46

static uint64_t read_number(const uint8_t *at, size_t size)
{
	uint64_t value = 0;

	while (size--)
		value = value << 8 | at[size];
	return value;
}

static bool has_magic(const uint8_t *at, char a, char b)
{
	return at[0] == 'P' && at[1] == 'K' && at[2] == a && at[3] == b;
}

/* Whether the end at @end is one, and what it says. */
static bool read_end(const uint8_t *data, size_t size, size_t end, struct zip_directory *ret)
{
	uint64_t length = read_number(data + end + 12, 4), offset = read_number(data + end + 16, 4);
	size_t behind = end, at64 = LOCATOR_SIZE + END64_SIZE;

	if (end + END_SIZE + read_number(data + end + 20, 2) > size)
		return false;
	if (end >= at64 && has_magic(data + end - LOCATOR_SIZE, 6, 7) &&
		has_magic(data + end - at64, 6, 6)) {
		behind = end - at64;
		length = read_number(data + behind + 40, 8);
		offset = read_number(data + behind + 48, 8);
	}
	if (length > behind || offset > behind - length)
		return false;
	ret->at = behind - (size_t)length;
	ret->size = (size_t)length;
	ret->begin = ret->at - (size_t)offset;
	return !length || (length >= HEADER_SIZE && has_magic(data + ret->at, 1, 2));
}

bool zip_directory_find(const uint8_t *data, size_t size, struct zip_directory *ret)
{
	size_t last, end;

	if (size < END_SIZE)
		return false;
	last = size - END_SIZE;
	for (end = last + 1; end-- > 0 && last - end <= MAX_COMMENT;)
		if (has_magic(data + end, 5, 6) && read_end(data, size, end, ret))
			return true;
	return false;
}

const char *zip_directory_find_nul(const uint8_t *data, const struct zip_directory *directory)
{
	const uint8_t *at = data + directory->at, *end = at + directory->size;

	while (end - at >= HEADER_SIZE && has_magic(at, 1, 2)) {
		size_t name = (size_t)read_number(at + 28, 2);
		size_t all = HEADER_SIZE + name + (size_t)read_number(at + 30, 2) +
			(size_t)read_number(at + 32, 2);

		if (all > (size_t)(end - at))
			break;
		if (memchr(at + HEADER_SIZE, 0, name))
			return (const char *)at + HEADER_SIZE;
		at += all;
	}
	return NULL;
}
