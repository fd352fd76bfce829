#include <criterion/criterion.h>
#include <time.h>
#include "base/clock.h"
#include "base/util.h"
#include "client/format.h"

static void expect(char *owned, const char *wanted)
{
	cr_expect_str_eq(owned, wanted);
	free(owned);
}

Test(format, bytes_have_two_digits_or_more)
{
	expect(format_bytes(0), "0 B");
	expect(format_bytes(1023), "1023 B");
	expect(format_bytes(1024), "1.0 KiB");
	expect(format_bytes(1536), "1.5 KiB");
	expect(format_bytes(10000), "9.8 KiB");
	expect(format_bytes(10200), "10 KiB");
	expect(format_bytes(1048575), "1.0 MiB");
	expect(format_bytes(UINT64_C(5) << 30), "5.0 GiB");
	expect(format_bytes(UINT64_MAX), "16 EiB");
}

Test(format, spans_have_two_units_at_most)
{
	expect(format_span(-5), "0s");
	expect(format_span(59999), "59s");
	expect(format_span(60000), "1m");
	expect(format_span(3600000), "1h");
	expect(format_span(3660000), "1h1m");
	expect(format_span(86400000), "1d");
	expect(format_span(100000000), "1d3h");
}

Test(format, what_was_just_granted_is_all_left)
{
	expect(format_left(clock_unix_ms() + 3600000), "1h");
	expect(format_age(clock_unix_ms() - 61000), "1m");
}

Test(format, times_are_local)
{
	setenv("TZ", "UTC", 1);
	expect(format_time(1700000000999), "2023-11-14T22:13:20+00:00");
	expect(format_time(0), "-");
	setenv("TZ", "EAST-5:30", 1);
	tzset();
	expect(format_time(1700000000999), "2023-11-15T03:43:20+05:30");
}

Test(format, microseconds_grow)
{
	expect(format_us(999), "999 µs");
	expect(format_us(1500), "1.5 ms");
	expect(format_us(12340000), "12.3 s");
}

Test(format, a_shell_reads_what_was_meant)
{
	expect(format_shell(""), "''");
	expect(format_shell("a b$c"), "'a b$c'");
	expect(format_shell("it's"), "'it'\\''s'");
}

Test(format, nothing_moves_the_cursor)
{
	char text[] = "a\033[2J\tb\nc\177\302\233d\303\244";
	char broken[] = "a\377\303";
	char lines[] = "a\nb\033";

	cr_expect_str_eq(format_clean(text, false), "a?[2J?b?c???d\303\244");
	cr_expect_str_eq(format_clean(broken, false), "a??");
	cr_expect_str_eq(format_clean(lines, true), "a\nb?");
}
