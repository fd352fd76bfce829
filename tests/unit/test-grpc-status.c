#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include "base/util.h"
#include "proto/grpc-status.h"
#include "proto/grpc.h"

static char *encoded(const char *message)
{
	struct buffer buffer = { 0 };

	grpc_message_encode(message, &buffer);
	return buffer_steal_text(&buffer);
}

Test(grpc_status, messages_are_percent_encoded)
{
	static const char *const cases[][2] = {
		{ "", "" },
		{ "plain words", "plain words" },
		{ "100%", "100%25" },
		{ "a\nb\x7f", "a%0Ab%7F" },
		{ "\xc3\xa4", "%C3%A4" },
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_free_ char *text = encoded(cases[i][0]);
		_cleanup_free_ char *back = grpc_message_decode(text, strlen(text));

		cr_expect_str_eq(text, cases[i][1]);
		cr_expect_str_eq(back, cases[i][0]);
	}
}

Test(grpc_status, a_long_message_is_cut_between_characters)
{
	char words[5001];
	_cleanup_free_ char *text = NULL;
	size_t i;

	words[0] = 'x';
	for (i = 1; i + 1 < sizeof(words); i += 2)
		memcpy(words + i, "\xc3\xa4", 2);
	words[5000] = 0;
	words[4999] = 'y';
	text = encoded(words);
	cr_expect_eq(strlen(text), 1 + 3 * 1022);
}

Test(grpc_status, a_malformed_message_is_made_readable)
{
	static const char *const cases[][2] = {
		{ "50% of", "50% of" },
		{ "%", "%" },
		{ "%4", "%4" },
		{ "%zz", "%zz" },
		{ "%41%", "A%" },
		{ "a%00b", "a?b" },
		{ "%FF%FEx", "??x" },
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_free_ char *back = grpc_message_decode(cases[i][0], strlen(cases[i][0]));

		cr_expect_str_eq(back, cases[i][1], "%s", back);
	}
}

Test(grpc_status, details_carry_reason_and_metadata)
{
	static const char *const metadata[] = { "log", "/var/log/a", "line", "17", NULL };
	struct grpc_result result = {
		.code = GRPC_ABORTED, .message = "m", .reason = "SOME_REASON", .metadata = metadata
	};
	_cleanup_(grpc_result_deinit) struct grpc_result back = { 0 }, padded = { 0 };
	_cleanup_buffer_ struct buffer text = { 0 };

	grpc_details_encode(&result, &text);
	cr_expect_null(memchr(text.data, '=', text.size));
	cr_expect_eq(grpc_details_decode((char *)text.data, text.size, &back), 0);
	cr_expect_str_eq(back.reason, "SOME_REASON");
	cr_expect_str_eq(back.metadata[0], "log");
	cr_expect_str_eq(back.metadata[3], "17");
	cr_expect_null(back.metadata[4]);

	while (text.size % 4)
		buffer_append_text(&text, "=");
	cr_expect_eq(grpc_details_decode((char *)text.data, text.size, &padded), 0);
	cr_expect_str_eq(padded.reason, "SOME_REASON");
}

Test(grpc_status, details_too_large_for_a_header_go_without_metadata)
{
	char large[9000];
	const char *const metadata[] = { "log", large, NULL };
	struct grpc_result result = { .code = GRPC_ABORTED, .reason = "R", .metadata = metadata };
	_cleanup_(grpc_result_deinit) struct grpc_result back = { 0 };
	_cleanup_buffer_ struct buffer text = { 0 };

	memset(large, 'x', sizeof(large) - 1);
	large[sizeof(large) - 1] = 0;
	grpc_details_encode(&result, &text);
	cr_expect_lt(text.size, 8000);
	cr_expect_eq(grpc_details_decode((char *)text.data, text.size, &back), 0);
	cr_expect_str_eq(back.reason, "R");
	cr_expect_null(back.metadata[0]);
}

Test(grpc_status, details_of_others_are_no_error_and_rubbish_is)
{
	_cleanup_(grpc_result_deinit) struct grpc_result back = { 0 };

	cr_expect_eq(grpc_details_decode("", 0, &back), 0);
	cr_expect_eq(grpc_details_decode("CAU", 3, &back), 0, "a code and nothing else");
	cr_expect_null(back.reason);
	cr_expect_lt(grpc_details_decode("!!!!", 4, &back), 0);
	cr_expect_lt(grpc_details_decode("CAUSBQ", 6, &back), 0, "cut off");
}

Test(grpc_status, timeouts_are_digits_and_a_unit)
{
	static const struct {
		const char *text;
		int r;
		uint64_t us;
	} cases[] = {
		{ "1S", 0, 1000000 },
		{ "100m", 0, 100000 },
		{ "7u", 0, 7 },
		{ "1500n", 0, 2 },
		{ "1n", 0, 1 },
		{ "0n", 0, 0 },
		{ "2M", 0, 120000000 },
		{ "99999999H", 0, UINT64_C(99999999) * 3600 * 1000000 },
		{ "123456789S", -EINVAL, 0 },
		{ "S", -EINVAL, 0 },
		{ "1", -EINVAL, 0 },
		{ "", -EINVAL, 0 },
		{ "1x", -EINVAL, 0 },
		{ "-1S", -EINVAL, 0 },
		{ "1.5S", -EINVAL, 0 },
		{ " 1S", -EINVAL, 0 },
	};
	uint64_t us;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		us = 0;
		cr_expect_eq(grpc_timeout_parse(cases[i].text, strlen(cases[i].text), &us),
			cases[i].r, "%s", cases[i].text);
		cr_expect_eq(us, cases[i].us, "%s", cases[i].text);
	}
}

Test(grpc_status, a_timeout_is_never_shorter_than_asked)
{
	static const uint64_t cases[] = { 0, 1, 99999999, 100000001, 99999999001,
		UINT64_C(99999999000001), UINT64_C(7000000000000001) };
	char text[16];
	uint64_t us;
	size_t i, n;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		n = grpc_timeout_format(cases[i], text);
		cr_expect_leq(n, 9);
		cr_expect_eq(grpc_timeout_parse(text, n, &us), 0);
		cr_expect_geq(us, cases[i], "%s", text);
	}
}

Test(grpc_status, codes_have_names)
{
	cr_expect_str_eq(grpc_code_name(GRPC_OK), "OK");
	cr_expect_str_eq(grpc_code_name(GRPC_UNAUTHENTICATED), "UNAUTHENTICATED");
	cr_expect_str_eq(grpc_code_name((enum grpc_code)99), "UNKNOWN");
	cr_expect_str_eq(grpc_code_name((enum grpc_code) - 1), "UNKNOWN");
}
