#pragma once
/* Where a zip's directory lies, as far as it matters before libzip reads it. Any thread. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct zip_directory {
	size_t begin; /* of the zip, in a file that has something in front of it */
	size_t at, size; /* of the directory, in the file */
};

/* False when there is none that we find. */
bool zip_directory_find(const uint8_t *data, size_t size, struct zip_directory *ret);
/* The first name that holds a NUL, which would end it early for libzip; borrowed from
 * @data, up to that NUL. NULL when there is none. */
const char *zip_directory_find_nul(const uint8_t *data, const struct zip_directory *directory);
