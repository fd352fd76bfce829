#include <criterion/criterion.h>
#include <errno.h>

#include "base/util.h"

Test(util, an_id_made_later_sorts_later)
{
	static const int64_t times[] = { 0, 1, 31, 32, 1023, 1024, 1700000000000, 1700000000001 };
	char before[17] = "", id[17];
	size_t i;

	for (i = 0; i < ARRAY_SIZE(times); i++) {
		timed_id(id, 16, times[i]);
		cr_expect_eq(strlen(id), 16);
		cr_expect_eq(strspn(id, "abcdefghijklmnopqrstuvwxyz234567"), 16);
		cr_expect_lt(strcmp(before, id), 0, "%s, then %s", before, id);
		memcpy(before, id, sizeof(before));
	}
}

Test(util, ids_of_one_moment_differ)
{
	char a[17], b[17];

	timed_id(a, 16, 1700000000000);
	timed_id(b, 16, 1700000000000);
	cr_expect_eq(strncmp(a, b, TIMED_ID_TIME), 0);
	cr_expect_str_neq(a, b);
}

Test(util, a_random_uuid_says_that_it_is_one)
{
	static const char shape[] = "xxxxxxxx-xxxx-4xxx-Nxxx-xxxxxxxxxxxx";
	char a[37], b[37];
	size_t i;

	random_uuid(a);
	random_uuid(b);
	cr_assert_eq(strlen(a), 36);
	for (i = 0; i < 36; i++)
		cr_expect(shape[i] == 'x'         ? strchr("0123456789abcdef", a[i]) != NULL
				: shape[i] == 'N' ? strchr("89ab", a[i]) != NULL
						  : a[i] == shape[i],
			"%s: %zu", a, i);
	cr_expect_str_neq(a, b);
}

Test(util, sizes_have_units)
{
	uint64_t n;

	cr_assert_eq(parse_bytes("3K", &n), 0);
	cr_expect_eq(n, 3072);
	cr_assert_eq(parse_bytes("15T", &n), 0);
	cr_expect_eq(n, UINT64_C(15) << 40);
	cr_expect_eq(parse_bytes("16777216T", &n), -ERANGE);
	cr_expect_eq(parse_bytes("3X", &n), -EINVAL);
	cr_expect_eq(parse_bytes("", &n), -EINVAL);
	cr_expect_eq(parse_bytes("-1", &n), -EINVAL);
}
