#include <criterion/criterion.h>
#include "base/util.h"
#include "proto/protobuf.h"

Test(bytes, what_is_put_is_read)
{
	_cleanup_buffer_ struct buffer buffer = { 0 };
	struct protobuf_field field;
	struct protobuf bytes;

	protobuf_put_varint(&buffer, 1, 0);
	protobuf_put_varint(&buffer, 2, UINT64_MAX);
	protobuf_put_text(&buffer, 3, "text");
	protobuf_put_bytes(&buffer, (1 << 29) - 1, "", 0);
	bytes = protobuf_from(buffer.data, buffer.size);

	cr_assert(protobuf_next(&bytes, &field));
	cr_expect_eq(field.number, 1);
	cr_expect_eq(field.value, 0);
	cr_assert(protobuf_next(&bytes, &field));
	cr_expect_eq(field.value, UINT64_MAX);
	cr_assert(protobuf_next(&bytes, &field));
	cr_expect_eq(field.type, PROTOBUF_BYTES);
	cr_expect_eq(field.size, 4);
	cr_expect_eq(memcmp(field.data, "text", 4), 0);
	cr_assert(protobuf_next(&bytes, &field));
	cr_expect_eq(field.number, (1 << 29) - 1);
	cr_expect_eq(field.size, 0);
	cr_expect_not(protobuf_next(&bytes, &field));
	cr_expect_not(bytes.is_malformed);
}

Test(bytes, what_is_malformed_ends_the_walk)
{
	static const struct {
		const char *bytes;
		size_t size;
	} cases[] = {
		{ "\x08", 1 }, /* no value */
		{ "\x08\x80", 2 }, /* half a varint */
		{ "\x0a\x05x", 3 }, /* fewer bytes than said */
		{ "\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 11 },
		{ "\x09\x01", 2 }, /* fixed64 */
		{ "\x0d\x01", 2 }, /* fixed32 */
		{ "\x0b", 1 }, /* group */
		{ "\x0c", 1 }, { "\x0e", 1 }, { "\x00\x00", 2 }, /* field 0 */
		{ "\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 12 }, /* eleven bytes */
	};
	struct protobuf_field field;
	struct protobuf bytes;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		bytes = protobuf_from((const uint8_t *)cases[i].bytes, cases[i].size);
		cr_expect_not(protobuf_next(&bytes, &field), "case %zu", i);
		cr_expect(bytes.is_malformed, "case %zu", i);
		cr_expect_not(protobuf_next(&bytes, &field));
	}
}
