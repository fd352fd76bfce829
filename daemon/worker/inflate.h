#pragma once
/* Raw deflate, with the CRC-32 and the size checked on the way: libdeflate for what
 * fits in memory, ISA-L for what streams. A struct inflate belongs to one thread. */
#include <stddef.h>
#include <stdint.h>
#include "base/util.h"

struct inflate;

struct inflate *inflate_new(void);
struct inflate *inflate_free(struct inflate *inflate);
DEFINE_CLEANUP(struct inflate *, inflate_free);

/* -EBADMSG unless it becomes exactly @size bytes. */
int inflate_whole(
	struct inflate *inflate, const uint8_t *data, size_t data_size, uint8_t *ret, size_t size);

/* Streaming: a source of bytes, a sink of bytes. Each returns a negative errno to
 * stop; read() returns 0 at the end. */
struct inflate_stream {
	ssize_t (*read)(void *data, uint8_t *buffer, size_t size);
	int (*write)(void *data, const uint8_t *bytes, size_t size);
	void *data;
};

/* -EBADMSG for what is no complete stream. */
int inflate_stream(struct inflate *inflate, const struct inflate_stream *stream);

uint32_t inflate_crc32(uint32_t crc, const uint8_t *data, size_t size);

/* gzip, any number of members, CRCs and lengths checked. Gives at most @size bytes;
 * 0 at the end of the last member; -EBADMSG. @data is all of the input. */
struct gunzip;

struct gunzip *gunzip_new(const uint8_t *data, size_t size);
struct gunzip *gunzip_free(struct gunzip *gunzip);
ssize_t gunzip_read(struct gunzip *gunzip, uint8_t *buffer, size_t size);
