#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>
#include "base/utf8.h"
#include "base/util.h"

Test(utf8, well_formed_text_is_told_from_malformed)
{
	static const struct {
		const char *text;
		bool is_valid;
	} cases[] = {
		{ "", true },
		{ "plain", true },
		{ "exactly8", true },
		{ "more than eight, all plain", true },
		{ "\xc3\xa4", true },
		{ "12345678\xe2\x82\xac", true },
		{ "\xf0\x9f\x90\x8d", true },
		{ "\xf4\x8f\xbf\xbf", true },
		{ "\xed\x9f\xbf", true },
		{ "\xee\x80\x80", true },
		{ "\x80", false },
		{ "\xc3", false },
		{ "1234567\xc3", false },
		{ "12345678\xff", false },
		{ "\xc0\xaf", false },
		{ "\xc1\xbf", false },
		{ "\xe0\x80\xaf", false },
		{ "\xe0\x9f\xbf", false },
		{ "\xed\xa0\x80", false },
		{ "\xf0\x80\x80\x80", false },
		{ "\xf4\x90\x80\x80", false },
		{ "\xf5\x80\x80\x80", false },
		{ "\xe2\x82", false },
		{ "\xe2\x28\xac", false },
		{ "\xf0\x9f\x90", false },
		{ "\xf0\x9f\x90x", false },
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(cases); i++)
		cr_expect_eq(utf8_is_valid(cases[i].text, strlen(cases[i].text)), cases[i].is_valid,
			"case %zu", i);
	cr_expect(utf8_is_valid("a\0b", 3));
}

Test(utf8, cutting_tears_no_character)
{
	cr_expect_eq(utf8_cut("abc", 3, 5), 3);
	cr_expect_eq(utf8_cut("abc", 3, 2), 2);
	cr_expect_eq(utf8_cut("a\xe2\x82\xac", 4, 3), 1);
	cr_expect_eq(utf8_cut("a\xe2\x82\xac", 4, 4), 4);
	cr_expect_eq(utf8_cut("\xe2\x82\xac", 3, 2), 0);
	cr_expect_eq(utf8_cut("abc", 3, 0), 0);
}

Test(utf8, repairing_replaces_what_is_malformed_and_nothing_else)
{
	char torn[] = "a\xc3\xa4\xff"
		      "b\xe2\x82",
	     plain[] = "plain";

	utf8_repair(torn, strlen(torn));
	cr_expect_str_eq(torn, "a\xc3\xa4?b??");
	utf8_repair(plain, strlen(plain));
	cr_expect_str_eq(plain, "plain");
	utf8_repair(plain, 0);
}
