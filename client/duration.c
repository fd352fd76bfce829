#include "client/duration.h"

#include <errno.h>
#include <stdio.h>
#include "base/util.h"

int duration_parse(const char *text, uint64_t *ret_ms)
{
	static const struct {
		const char *name;
		uint64_t ms;
	} units[] = {
		{ "", 1000 },
		{ "ms", 1 },
		{ "s", 1000 },
		{ "m", 60000 },
		{ "h", 3600000 },
		{ "d", 86400000 },
	};
	size_t i, digits = strspn(text, "0123456789");
	uint64_t value;
	char number[24];
	int r;

	if (!digits)
		return -EINVAL;
	if (digits >= sizeof(number))
		return -ERANGE;
	snprintf(number, sizeof(number), "%.*s", (int)digits, text);
	r = parse_u64(number, &value);
	if (r)
		return r;
	for (i = 0; i < ARRAY_SIZE(units); i++) {
		if (strcmp(units[i].name, text + digits) != 0)
			continue;
		return __builtin_mul_overflow(value, units[i].ms, ret_ms) ? -ERANGE : 0;
	}
	return -EINVAL;
}

int duration_parse_ttl(const char *text, uint64_t *ret_ms, struct error *err)
{
	if (duration_parse(text, ret_ms) || *ret_ms < 1000 || *ret_ms > 30 * UINT64_C(86400000))
		return fail(err, -EINVAL, NULL,
			"'--ttl %s': not a duration from a second to 30 days, such as 10m or 2h",
			text);
	return 0;
}
