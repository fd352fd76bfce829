#pragma once
/* SHA-256, by OpenSSL's libcrypto; its one door. A struct sha256 belongs to one thread. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/util.h"

#define SHA256_SIZE 32
#define SHA256_HEX_SIZE 65 /* with the NUL */

struct sha256; /* a running computation */

struct sha256 *sha256_new(void);
struct sha256 *sha256_free(struct sha256 *sha256);
void sha256_add(struct sha256 *sha256, const void *data, size_t size);
/* Ends it; the object can be used again from the beginning. */
void sha256_end(struct sha256 *sha256, uint8_t digest[SHA256_SIZE]);

/* Whether it is one as hex_format() writes it. */
bool sha256_is_hex(const char *text);

DEFINE_CLEANUP(struct sha256 *, sha256_free);
