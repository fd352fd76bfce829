#include <criterion/criterion.h>
#include "base/util.h"
#include "proto/http2-fields.h"

/* Lines of "name=value", the value up to the end of the line. */
static bool takes(struct http2_message *message, bool is_request, const char *lines, bool is_end)
{
	const char *at = lines, *end, *equals;

	http2_message_begin(message, is_request);
	for (; *at; at = *end ? end + 1 : end) {
		struct http2_field field = { .name = at };

		end = strchrnul(at, '\n');
		equals = memchr(at, '=', (size_t)(end - at));
		field.name_size = (size_t)(equals - at);
		field.value = equals + 1;
		field.value_size = (size_t)(end - field.value);
		if (!http2_message_add(message, &field))
			return false;
	}
	return http2_message_complete(message, is_end);
}

#define REQUEST ":method=POST\n:scheme=http\n:path=/a\n:authority=x"

Test(http2_fields, requests_are_checked_as_the_rfc_says)
{
	static const struct {
		const char *lines;
		bool is_good;
	} cases[] = {
		{ REQUEST, true },
		{ ":method=POST\n:scheme=http\n:path=/a", true },
		{ ":method=POST\n:scheme=http\n:path=/a\n:authority=", true },
		{ ":method=POST\n:scheme=http\n:path=/a\n:authority=/run/x.sock", true },
		{ ":method=POST\n:scheme=http\n:path=/a\n:authority=%2Frun%2Fx.sock", true },
		{ ":method=POST\n:scheme=http\n:path=/a\n:authority=a b", false },
		{ REQUEST "\nte=trailers\nx-a=b", true },
		{ REQUEST "\nte=Trailers", true },
		{ REQUEST "\nte=gzip", false },
		{ REQUEST "\nconnection=close", false },
		{ REQUEST "\nkeep-alive=1", false },
		{ REQUEST "\nproxy-connection=1", false },
		{ REQUEST "\ntransfer-encoding=chunked", false },
		{ REQUEST "\nupgrade=h2c", false },
		{ REQUEST "\nX-A=b", false },
		{ REQUEST "\nx a=b", false },
		{ REQUEST "\nx\x80=b", false },
		{ REQUEST "\n=b", false },
		{ REQUEST "\nx=", true },
		{ REQUEST "\nx=a\tb", true },
		{ REQUEST "\nx= a", false },
		{ REQUEST "\nx=a ", false },
		{ REQUEST "\nx=a\rb", false },
		{ REQUEST "\nx=\xc3\xa4", true },
		{ REQUEST "\ncontent-length=5", true },
		{ REQUEST "\ncontent-length=5\ncontent-length=5", false },
		{ REQUEST "\ncontent-length=", false },
		{ REQUEST "\ncontent-length=-5", false },
		{ REQUEST "\ncontent-length=99999999999999999999", false },
		{ REQUEST "\n:path=/b", false },
		{ REQUEST "\n:unknown=1", false },
		{ REQUEST "\n:status=200", false },
		{ "x-a=b\n" REQUEST, false },
		{ ":scheme=http\n:path=/a", false },
		{ ":method=POST\n:path=/a", false },
		{ ":method=POST\n:scheme=http", false },
		{ ":method=POST\n:scheme=http\n:path=", false },
		{ ":method=POST\n:scheme=http\n:path=a", false },
		{ ":method=POST\n:scheme=http\n:path=/a b", false },
		{ ":method=\n:scheme=http\n:path=/a", false },
		{ ":method=PO ST\n:scheme=http\n:path=/a", false },
		{ ":method=POST\n:scheme=1http\n:path=/a", false },
		{ ":method=POST\n:scheme=\n:path=/a", false },
		{ ":method=POST\n:scheme=http\n:path=*", false },
		{ ":method=OPTIONS\n:scheme=http\n:path=*", true },
		{ ":method=CONNECT\n:authority=a:1", true },
		{ ":method=CONNECT\n:authority=a:1\n:path=/", false },
		{ ":method=CONNECT", false },
		{ "", false },
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		struct http2_message message = { 0 };

		cr_expect_eq(takes(&message, true, cases[i].lines, false), cases[i].is_good, "%s",
			cases[i].lines);
	}
}

Test(http2_fields, trailers_have_no_pseudo_headers_and_end_the_message)
{
	struct http2_message message = { 0 }, other = { 0 }, third = { 0 };

	cr_expect(takes(&message, true, REQUEST, false));
	cr_expect(takes(&message, true, "x-a=b", true));
	cr_expect(takes(&other, true, REQUEST, false));
	cr_expect_not(takes(&other, true, "x-a=b", false));
	cr_expect(takes(&third, true, REQUEST, false));
	cr_expect_not(takes(&third, true, ":path=/a", true));
}

Test(http2_fields, responses_have_a_status_and_may_be_announced)
{
	struct http2_message message = { 0 };
	static const char *const wrong[] = { "", "x=y", ":status=20", ":status=2000", ":status=abc",
		":status=101", ":status=099", ":status=200\n:path=/", ":status=200\n:status=200" };
	size_t i;

	cr_expect(takes(&message, false, ":status=103\nlink=x", false));
	cr_expect(http2_message_is_interim(&message));
	cr_expect_not(http2_message_data(&message, 1), "before the real one");
	cr_expect(takes(&message, false, ":status=200\ngrpc-status=0", false));
	cr_expect_not(http2_message_is_interim(&message));
	cr_expect_eq(message.status, 200);
	cr_expect(takes(&message, false, "grpc-status=0", true));
	for (i = 0; i < ARRAY_SIZE(wrong); i++) {
		struct http2_message other = { 0 };

		cr_expect_not(takes(&other, false, wrong[i], false), "%s", wrong[i]);
	}
}

Test(http2_fields, the_length_that_was_announced_must_come)
{
	struct http2_message message = { 0 };

	cr_expect(takes(&message, true, REQUEST "\ncontent-length=5", false));
	cr_expect(http2_message_data(&message, 4));
	cr_expect_not(http2_message_end(&message));
	cr_expect(http2_message_data(&message, 1));
	cr_expect(http2_message_end(&message));
	cr_expect_not(http2_message_data(&message, 1));
}
