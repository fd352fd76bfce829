#include <criterion/criterion.h>
#include <errno.h>
#include "client/duration.h"

static uint64_t parse(const char *text)
{
	uint64_t ms = 12345;

	cr_assert_eq(duration_parse(text, &ms), 0, "'%s'", text);
	return ms;
}

Test(duration, units_multiply)
{
	cr_expect_eq(parse("90"), 90000);
	cr_expect_eq(parse("90s"), 90000);
	cr_expect_eq(parse("5m"), 300000);
	cr_expect_eq(parse("2h"), 7200000);
	cr_expect_eq(parse("1d"), 86400000);
	cr_expect_eq(parse("500ms"), 500);
	cr_expect_eq(parse("0"), 0);
	cr_expect_eq(parse("007"), 7000);
}

Test(duration, what_is_no_duration_is_refused)
{
	static const char *const texts[] = { "", "s", "-1", "+1", " 1", "1 s", "1.5h", "1x", "1hs",
		"1H", "1h30m", "0x10" };
	uint64_t ms;
	size_t i;

	for (i = 0; i < sizeof(texts) / sizeof(*texts); i++)
		cr_expect_eq(duration_parse(texts[i], &ms), -EINVAL, "'%s'", texts[i]);
}

Test(duration, what_does_not_fit_is_refused)
{
	uint64_t ms;

	cr_expect_eq(duration_parse("18446744073709551616", &ms), -ERANGE);
	cr_expect_eq(duration_parse("18446744073709551615", &ms), -ERANGE);
	cr_expect_eq(duration_parse("213503982335d", &ms), -ERANGE);
	cr_expect_eq(duration_parse("00000000000000000000000000000001", &ms), -ERANGE);
}

Test(duration, a_time_to_live_has_limits)
{
	struct error err = { 0 };
	uint64_t ms;

	cr_expect_eq(duration_parse_ttl("1s", &ms, &err), 0);
	cr_expect_eq(duration_parse_ttl("30d", &ms, &err), 0);
	cr_expect_eq(duration_parse_ttl("999ms", &ms, &err), -EINVAL);
	cr_expect_eq(duration_parse_ttl("2592001", &ms, &err), -EINVAL);
	cr_expect(strstr(err.text, "'--ttl 2592001'"));
}
