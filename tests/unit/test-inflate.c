#include <criterion/criterion.h>
#include <errno.h>
#include <libdeflate.h>
#include "base/buffer.h"
#include "daemon/worker/inflate.h"

static uint8_t plain[100000];
static struct buffer packed;

static void add_member(const void *data, size_t size)
{
	struct libdeflate_compressor *compressor = libdeflate_alloc_compressor(6);
	size_t bound = libdeflate_gzip_compress_bound(compressor, size);

	packed.size += libdeflate_gzip_compress(
		compressor, data, size, buffer_reserve(&packed, bound), bound);
	libdeflate_free_compressor(compressor);
}

static void set_up(void)
{
	uint32_t x = 1;
	size_t i;

	for (i = 0; i < sizeof(plain); i++) {
		x = x * 1103515245 + 12345;
		plain[i] = i % 3 ? 'a' : (uint8_t)(x >> 16);
	}
	packed.size = 0;
}

static void tear_down(void)
{
	buffer_deinit(&packed);
}

/* All of it in pieces of @step; or the error. */
static ssize_t unpack(size_t size, size_t step, uint8_t *to)
{
	struct gunzip *gunzip = gunzip_new(packed.data, size);
	ssize_t all = 0, n;

	while ((n = gunzip_read(gunzip, to + all, step)) > 0)
		all += n;
	gunzip_free(gunzip);
	return n < 0 ? n : all;
}

TestSuite(inflate, .init = set_up, .fini = tear_down);

Test(inflate, gzip_is_read_in_any_pieces)
{
	static const size_t steps[] = { 1, 7, 512, 4096, 65536, 262144 };
	static uint8_t to[sizeof(plain) + 262144];
	size_t i;

	add_member(plain, sizeof(plain));
	for (i = 0; i < ARRAY_SIZE(steps); i++) {
		cr_expect_eq(unpack(packed.size, steps[i], to), (ssize_t)sizeof(plain));
		cr_expect_arr_eq(to, plain, sizeof(plain));
	}
}

Test(inflate, members_follow_each_other_wherever_one_ends)
{
	static uint8_t to[sizeof(plain) + 4096];
	size_t at = 0, n = 0;

	for (; at < sizeof(plain); at += n) {
		n = sizeof(plain) - at < 997 ? sizeof(plain) - at : 997;
		add_member(plain + at, n);
		add_member("", 0);
	}
	cr_expect_eq(unpack(packed.size, 4096, to), (ssize_t)sizeof(plain));
	cr_expect_arr_eq(to, plain, sizeof(plain));
}

Test(inflate, a_stream_that_is_cut_anywhere_is_damaged)
{
	static uint8_t to[4096 + 4096];
	size_t size;

	add_member(plain, 3000);
	for (size = 1; size < packed.size; size++)
		cr_expect_eq(unpack(size, 4096, to), -EBADMSG, "cut at %zu", size);
}

Test(inflate, a_bit_that_is_wrong_anywhere_is_found)
{
	static uint8_t to[64 * 4096];
	size_t i;

	add_member(plain, 3000);
	/* Behind the header: its time and system are nobody's concern. */
	for (i = 10; i < packed.size; i++) {
		packed.data[i] ^= 0x10;
		cr_expect_eq(unpack(packed.size, 4096, to), -EBADMSG, "byte %zu", i);
		packed.data[i] ^= 0x10;
	}
}

Test(inflate, zeros_may_follow_and_nothing_else)
{
	static uint8_t to[8192];

	add_member(plain, 3000);
	buffer_append(&packed, "\0\0\0\0", 4);
	cr_expect_eq(unpack(packed.size, 4096, to), 3000);
	buffer_append(&packed, "x", 1);
	cr_expect_eq(unpack(packed.size, 4096, to), -EBADMSG);
}

struct strings {
	const uint8_t *data;
	size_t size, at;
	struct buffer out;
};

static ssize_t read_string(void *data, uint8_t *buffer, size_t size)
{
	struct strings *strings = data;
	size_t left = strings->size - strings->at;

	/* In small pieces, as a slow disk would. */
	size = size < left ? size : left;
	size = size < 100 ? size : 100;
	memcpy(buffer, strings->data + strings->at, size);
	strings->at += size;
	return (ssize_t)size;
}

static int write_string(void *data, const uint8_t *bytes, size_t size)
{
	struct strings *strings = data;

	buffer_append(&strings->out, bytes, size);
	return 0;
}

Test(inflate, a_raw_stream_becomes_what_it_was)
{
	struct libdeflate_compressor *compressor = libdeflate_alloc_compressor(6);
	_cleanup_(inflate_freep) struct inflate *inflate = inflate_new();
	static uint8_t raw[sizeof(plain)], whole[sizeof(plain)];
	struct strings strings = { .data = raw };
	const struct inflate_stream stream = { read_string, write_string, &strings };

	strings.size = libdeflate_deflate_compress(
		compressor, plain, sizeof(plain), raw, sizeof(raw));
	libdeflate_free_compressor(compressor);
	cr_assert_eq(inflate_stream(inflate, &stream), 0);
	cr_assert_eq(strings.out.size, sizeof(plain));
	cr_expect_arr_eq(strings.out.data, plain, sizeof(plain));
	cr_expect_eq(inflate_whole(inflate, raw, strings.size, whole, sizeof(whole)), 0);
	cr_expect_arr_eq(whole, plain, sizeof(plain));
	cr_expect_eq(inflate_whole(inflate, raw, strings.size, whole, sizeof(whole) - 1), -EBADMSG);

	strings.at = strings.out.size = 0;
	strings.size /= 2;
	cr_expect_eq(inflate_stream(inflate, &stream), -EBADMSG);
	buffer_deinit(&strings.out);
}
