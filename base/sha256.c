#include "base/sha256.h"

#include <openssl/evp.h>

struct sha256 {
	EVP_MD_CTX *context; /* owned */
};

static void begin(struct sha256 *sha256)
{
	/* Fails only without memory or without the algorithm: neither can be gone on from. */
	if (EVP_DigestInit_ex(sha256->context, EVP_sha256(), NULL) != 1)
		abort();
}

struct sha256 *sha256_new(void)
{
	struct sha256 *sha256 = new0(struct sha256);

	sha256->context = EVP_MD_CTX_new();
	if (!sha256->context)
		abort();
	begin(sha256);
	return sha256;
}

struct sha256 *sha256_free(struct sha256 *sha256)
{
	if (!sha256)
		return NULL;
	EVP_MD_CTX_free(sha256->context);
	free(sha256);
	return NULL;
}

void sha256_add(struct sha256 *sha256, const void *data, size_t size)
{
	if (EVP_DigestUpdate(sha256->context, data, size) != 1)
		abort();
}

void sha256_end(struct sha256 *sha256, uint8_t digest[SHA256_SIZE])
{
	if (EVP_DigestFinal_ex(sha256->context, digest, NULL) != 1)
		abort();
	begin(sha256);
}

bool sha256_is_hex(const char *text)
{
	size_t digits = strspn(text, "0123456789abcdef");

	return digits == SHA256_HEX_SIZE - 1 && !text[digits];
}
