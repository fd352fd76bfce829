#include <criterion/criterion.h>
#include "proto/requirements-name.h"

Test(requirements_name, an_include_lies_beside_what_includes_it)
{
	static const struct {
		const char *from, *text, *name;
	} cases[] = {
		{ "requirements.txt", "base.txt", "base.txt" },
		{ "requirements.txt", "sub/base.txt", "sub/base.txt" },
		{ "sub/base.txt", "more.txt", "sub/more.txt" },
		{ "sub/base.txt", "../common.txt", "common.txt" },
		{ "sub/base.txt", "../../common.txt", "../common.txt" },
		{ "../common.txt", "other.txt", "../other.txt" },
		{ "../common.txt", "../other.txt", "../../other.txt" },
		{ "requirements.txt", "./a//b/./c.txt", "a/b/c.txt" },
		{ "requirements.txt", "a/../b.txt", "b.txt" },
		{ "requirements.txt", "/etc/limits.txt", "/etc/limits.txt" },
		{ "/etc/limits.txt", "more.txt", "/etc/more.txt" },
		{ "/limits.txt", "more.txt", "/more.txt" },
		{ "/etc/limits.txt", "../../../more.txt", "/more.txt" },
		{ "sub/base.txt", "..", "" },
		{ "a", "...", "..." },
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_free_ char *name = requirements_name_join(cases[i].from, cases[i].text);

		cr_expect_str_eq(
			name, cases[i].name, "%s, %s: %s", cases[i].from, cases[i].text, name);
	}
}

Test(requirements_name, what_climbs_does_not_lie_beneath)
{
	cr_expect(requirements_name_is_beneath("a.txt"));
	cr_expect(requirements_name_is_beneath("a/..b"));
	cr_expect(requirements_name_is_beneath("..a/b"));
	cr_expect_not(requirements_name_is_beneath(""));
	cr_expect_not(requirements_name_is_beneath(".."));
	cr_expect_not(requirements_name_is_beneath("../a.txt"));
	cr_expect_not(requirements_name_is_beneath("/a.txt"));
}
