#include "daemon/worker/inflate.h"

#include <errno.h>
#include <isa-l/igzip_lib.h>
#include <libdeflate.h>

#define IN_SIZE 65536
#define OUT_SIZE (256 * 1024)

struct inflate {
	struct libdeflate_decompressor *decompressor;
	struct inflate_state *state; /* ISA-L's; large */
	uint8_t *in, *out; /* IN_SIZE, OUT_SIZE; made when first wanted */
};

struct inflate *inflate_new(void)
{
	struct inflate *inflate = new0(struct inflate);

	inflate->decompressor = libdeflate_alloc_decompressor();
	if (!inflate->decompressor)
		abort();
	return inflate;
}

struct inflate *inflate_free(struct inflate *inflate)
{
	if (!inflate)
		return NULL;
	libdeflate_free_decompressor(inflate->decompressor);
	free(inflate->state);
	free(inflate->in);
	free(inflate->out);
	free(inflate);
	return NULL;
}

int inflate_whole(
	struct inflate *inflate, const uint8_t *data, size_t data_size, uint8_t *ret, size_t size)
{
	size_t in, out;

	if (libdeflate_deflate_decompress_ex(inflate->decompressor, data, data_size, ret, size, &in,
		    &out) != LIBDEFLATE_SUCCESS)
		return -EBADMSG;
	return in == data_size && out == size ? 0 : -EBADMSG;
}

static int inflate_step(struct inflate_state *state, uint8_t *out, size_t *made)
{
	state->next_out = out;
	state->avail_out = OUT_SIZE;
	if (isal_inflate(state) != ISAL_DECOMP_OK)
		return -EBADMSG;
	*made = OUT_SIZE - state->avail_out;
	return 0;
}

int inflate_stream(struct inflate *inflate, const struct inflate_stream *stream)
{
	struct inflate_state *state;
	bool at_end = false;
	size_t made;
	int r;

	if (!inflate->state) {
		inflate->state = new0(struct inflate_state);
		inflate->in = alloc0(1, IN_SIZE);
		inflate->out = alloc0(1, OUT_SIZE);
	}
	state = inflate->state;
	isal_inflate_init(state);
	state->crc_flag = ISAL_DEFLATE;
	while (state->block_state != ISAL_BLOCK_FINISH) {
		if (state->avail_in == 0 && !at_end) {
			ssize_t n = stream->read(stream->data, inflate->in, IN_SIZE);

			if (n < 0)
				return (int)n;
			at_end = n == 0;
			state->next_in = inflate->in;
			state->avail_in = (uint32_t)n;
		}
		r = inflate_step(state, inflate->out, &made);
		if (r == 0 && made)
			r = stream->write(stream->data, inflate->out, made);
		if (r)
			return r;
		if (!made && at_end && state->block_state != ISAL_BLOCK_FINISH)
			return -EBADMSG;
	}
	return 0;
}

uint32_t inflate_crc32(uint32_t crc, const uint8_t *data, size_t size)
{
	return libdeflate_crc32(crc, data, size);
}

/* ---- gzip */

struct gunzip {
	struct inflate_state state;
	const uint8_t *data;
	size_t size, given; /* given: of data, to ISA-L */
	bool is_over;
};

struct gunzip *gunzip_new(const uint8_t *data, size_t size)
{
	struct gunzip *gunzip = new0(struct gunzip);

	gunzip->data = data;
	gunzip->size = size;
	isal_inflate_init(&gunzip->state);
	gunzip->state.crc_flag = ISAL_GZIP;
	return gunzip;
}

struct gunzip *gunzip_free(struct gunzip *gunzip)
{
	free(gunzip);
	return NULL;
}

static void feed(struct gunzip *gunzip)
{
	size_t left = gunzip->size - gunzip->given;

	if (gunzip->state.avail_in || !left)
		return;
	left = left < (1 << 30) ? left : (1 << 30);
	gunzip->state.next_in = (uint8_t *)gunzip->data + gunzip->given;
	gunzip->state.avail_in = (uint32_t)left;
	gunzip->given += left;
}

/* Behind a member: another one, zeros to the end, or nothing. */
static int next_member(struct gunzip *gunzip)
{
	size_t at = gunzip->given - gunzip->state.avail_in, i;
	bool more = gunzip->size - at >= 2 && gunzip->data[at] == 0x1f &&
		gunzip->data[at + 1] == 0x8b;

	if (more) {
		isal_inflate_reset(&gunzip->state);
		gunzip->state.crc_flag = ISAL_GZIP;
		return 0;
	}
	for (i = at; i < gunzip->size; i++)
		if (gunzip->data[i])
			return -EBADMSG;
	gunzip->is_over = true;
	return 0;
}

ssize_t gunzip_read(struct gunzip *gunzip, uint8_t *buffer, size_t size)
{
	struct inflate_state *state = &gunzip->state;
	int r;

	state->next_out = buffer;
	state->avail_out = (uint32_t)size;
	while (!gunzip->is_over && state->avail_out) {
		uint32_t before = state->avail_out;

		feed(gunzip);
		if (isal_inflate(state) != ISAL_DECOMP_OK)
			return -EBADMSG;
		if (state->block_state == ISAL_BLOCK_FINISH) {
			r = next_member(gunzip);
			if (r)
				return r;
		} else if (before == state->avail_out && !state->avail_in &&
			gunzip->given == gunzip->size) {
			return -EBADMSG; /* ends in the middle */
		}
	}
	return (ssize_t)(size - state->avail_out);
}
