#include <criterion/criterion.h>
#include <errno.h>
#include "base/util.h"
#include "proto/message.h"
#include "proto/protobuf.h"
#include "pyenvd.pb-c.h"

#define REQUEST (&pyenvd__v1__create_environment_request__descriptor)

enum {
	LABEL = 2,
	ARCHIVES = 1 + 2,
	VARIABLES = 7,
	ARCHIVE_PATH = 1,
};

static int unpack(const struct buffer *bytes, struct error *err)
{
	ProtobufCMessage *message = NULL;
	int r;

	r = message_unpack(REQUEST, bytes->data, bytes->size, &message, err);
	cr_expect_eq(r == 0, message != NULL);
	message_free(message);
	return r;
}

Test(message, what_is_packed_is_unpacked)
{
	Pyenvd__V1__Archive archive = PYENVD__V1__ARCHIVE__INIT, *archives[] = { &archive };
	Pyenvd__V1__CreateEnvironmentRequest request = PYENVD__V1__CREATE_ENVIRONMENT_REQUEST__INIT;
	_cleanup_buffer_ struct buffer bytes = { 0 }, framed = { 0 }, again = { 0 };
	_cleanup_message_ Pyenvd__V1__CreateEnvironmentRequest *back = NULL;
	struct error err = { 0 };

	archive.path = (char *)"/tmp/\xc3\xa4.zip";
	request.label = (char *)"label";
	request.n_archives = 1;
	request.archives = archives;
	message_pack(&request.base, &bytes);
	cr_expect_eq(
		message_unpack(REQUEST, bytes.data, bytes.size, (ProtobufCMessage **)&back, &err),
		0, "%s", err.text);
	cr_assert_not_null(back);
	cr_expect_str_eq(back->archives[0]->path, "/tmp/\xc3\xa4.zip");

	message_pack_framed(&request.base, &framed);
	message_frame(bytes.data, bytes.size, &again);
	cr_expect_eq(framed.size, bytes.size + 5);
	cr_expect_eq(framed.data[4], bytes.size);
	cr_expect_eq(memcmp(framed.data + 5, bytes.data, bytes.size), 0);
	cr_expect_eq(framed.size, again.size);
	cr_expect_eq(memcmp(framed.data, again.data, again.size), 0);
}

Test(message, nothing_is_a_message_too)
{
	ProtobufCMessage *message;

	cr_assert_eq(message_unpack(REQUEST, NULL, 0, &message, NULL), 0);
	message_free(message);
	message_free(NULL);
}

Test(message, a_string_that_is_not_utf8_is_named)
{
	_cleanup_buffer_ struct buffer bytes = { 0 };
	struct error err = { 0 };

	protobuf_put_bytes(&bytes, LABEL, "a\xff", 2);
	cr_expect_eq(unpack(&bytes, &err), -EINVAL);
	cr_expect_str_eq(err.text, "label: not UTF-8");
	cr_expect_str_eq(err.reason, "REQUEST_INVALID");
}

Test(message, a_nul_is_found_at_any_depth)
{
	_cleanup_buffer_ struct buffer archive = { 0 }, entry = { 0 }, bytes = { 0 }, other = { 0 };
	struct error err = { 0 };

	protobuf_put_bytes(&archive, ARCHIVE_PATH, "/a\0b", 4);
	protobuf_put_bytes(&bytes, ARCHIVES, archive.data, archive.size);
	cr_expect_eq(unpack(&bytes, &err), -EINVAL);
	cr_expect_str_eq(err.text, "archives.path: holds a NUL");

	protobuf_put_text(&entry, 1, "name");
	protobuf_put_bytes(&entry, 2, "\xc0\x80", 2);
	protobuf_put_bytes(&other, VARIABLES, entry.data, entry.size);
	cr_expect_eq(unpack(&other, &err), -EINVAL);
	cr_expect_str_eq(err.text, "variables.value: not UTF-8");
}

Test(message, truncation_is_found_at_every_byte)
{
	_cleanup_buffer_ struct buffer archive = { 0 }, bytes = { 0 };
	struct error err = { 0 };
	size_t size;

	protobuf_put_text(&archive, ARCHIVE_PATH, "/a");
	protobuf_put_bytes(&bytes, ARCHIVES, archive.data, archive.size);
	for (size = bytes.size - 1; size; size--) {
		struct buffer part = { .data = bytes.data, .size = size };

		cr_expect_eq(unpack(&part, &err), -EINVAL);
	}
	bytes.data[3] = 100;
	cr_expect_eq(unpack(&bytes, &err), -EINVAL);
	cr_expect_str_eq(err.text, "archives: truncated or malformed");
}

Test(message, fields_that_are_not_known_are_passed_over)
{
	_cleanup_buffer_ struct buffer bytes = { 0 };

	protobuf_put_bytes(&bytes, 1000, "\xff\0", 2);
	protobuf_put_varint(&bytes, 1001, 5);
	cr_expect_eq(unpack(&bytes, NULL), 0);
}

Test(message, a_field_of_the_wrong_type_is_no_message)
{
	_cleanup_buffer_ struct buffer bytes = { 0 };
	struct error err = { 0 };

	protobuf_put_varint(&bytes, LABEL, 5);
	cr_expect_eq(unpack(&bytes, &err), -EINVAL);
	cr_expect_str_eq(err.reason, "REQUEST_INVALID");
}

Test(message, many_empty_parts_do_not_eat_all_memory)
{
	_cleanup_buffer_ struct buffer bytes = { 0 };
	struct error err = { 0 };
	int i;

	for (i = 0; i < 4 << 20; i++)
		protobuf_put_bytes(&bytes, ARCHIVES, "", 0);
	cr_expect_eq(unpack(&bytes, &err), -EINVAL);
	cr_expect_str_eq(err.reason, "REQUEST_INVALID");
}

/* A message that holds itself, which the API has none of. */
struct nest {
	ProtobufCMessage base;
	struct nest *inner;
};

static const ProtobufCMessageDescriptor nest_descriptor;
static const ProtobufCFieldDescriptor nest_fields[] = { {
	.name = "inner",
	.id = 1,
	.label = PROTOBUF_C_LABEL_NONE,
	.type = PROTOBUF_C_TYPE_MESSAGE,
	.offset = offsetof(struct nest, inner),
	.descriptor = &nest_descriptor,
} };
static const unsigned nest_by_name[] = { 0 };
static const ProtobufCIntRange nest_ranges[] = { { 1, 0 }, { 0, 1 } };

static void init_nest(ProtobufCMessage *message)
{
	*(struct nest *)message = (struct nest){ .base.descriptor = &nest_descriptor };
}

static const ProtobufCMessageDescriptor nest_descriptor = {
	.magic = PROTOBUF_C__MESSAGE_DESCRIPTOR_MAGIC,
	.name = "Nest",
	.short_name = "Nest",
	.c_name = "Nest",
	.package_name = "",
	.sizeof_message = sizeof(struct nest),
	.n_fields = 1,
	.fields = nest_fields,
	.fields_sorted_by_name = nest_by_name,
	.n_field_ranges = 1,
	.field_ranges = nest_ranges,
	.message_init = init_nest,
};

static int unpack_nested(int depth, struct error *err)
{
	_cleanup_buffer_ struct buffer bytes = { 0 };
	ProtobufCMessage *message = NULL;
	int i, r;

	for (i = 0; i < depth; i++) {
		_cleanup_buffer_ struct buffer inner = STEAL(bytes);

		protobuf_put_bytes(&bytes, 1, inner.data, inner.size);
	}
	r = message_unpack(&nest_descriptor, bytes.data, bytes.size, &message, err);
	message_free(message);
	return r;
}

Test(message, nesting_has_a_limit)
{
	struct error err = { 0 };

	cr_expect_eq(unpack_nested(MESSAGE_MAX_DEPTH, &err), 0, "%s", err.text);
	cr_expect_eq(unpack_nested(MESSAGE_MAX_DEPTH + 1, &err), -EINVAL);
	cr_expect_eq(unpack_nested(20000, &err), -EINVAL);
	cr_expect(strstr(err.text, "nested too deeply"));
}
