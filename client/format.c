#include "client/format.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include "base/buffer.h"
#include "base/clock.h"
#include "base/utf8.h"
#include "base/util.h"

char *format_bytes(uint64_t bytes)
{
	static const char *const units[] = { "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };
	double value = (double)bytes / 1024;
	size_t i = 0;

	if (bytes < 1024)
		return text_format("%" PRIu64 " B", bytes);
	/* What would be printed as 1024 is one of the next. */
	for (; value >= 1023.5 && i + 1 < ARRAY_SIZE(units); i++)
		value /= 1024;
	return text_format(value < 9.95 ? "%.1f %s" : "%.0f %s", value, units[i]);
}

char *format_span(int64_t ms)
{
	int64_t s = ms > 0 ? ms / 1000 : 0, m = s / 60, h = m / 60, d = h / 24;

	if (d && h % 24)
		return text_format("%" PRId64 "d%" PRId64 "h", d, h % 24);
	if (d)
		return text_format("%" PRId64 "d", d);
	if (h && m % 60)
		return text_format("%" PRId64 "h%" PRId64 "m", h, m % 60);
	if (h)
		return text_format("%" PRId64 "h", h);
	if (m)
		return text_format("%" PRId64 "m", m);
	return text_format("%" PRId64 "s", s);
}

char *format_age(int64_t unix_ms)
{
	return format_span(clock_unix_ms() - unix_ms);
}

char *format_left(int64_t unix_ms)
{
	return format_span(unix_ms - clock_unix_ms() + 999);
}

char *format_time(int64_t unix_ms)
{
	time_t seconds = (time_t)(unix_ms / 1000);
	char date[64], zone[16];
	struct tm tm;

	if (!unix_ms || !localtime_r(&seconds, &tm))
		return text_copy("-");
	strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &tm);
	strftime(zone, sizeof(zone), "%z", &tm);
	/* "+0100": ISO 8601's long form has a colon. */
	return text_format("%s%.3s:%s", date, zone, zone + 3);
}

char *format_us(uint64_t us)
{
	if (us < 1000)
		return text_format("%" PRIu64 " µs", us);
	if (us < 1000000)
		return text_format("%.1f ms", (double)us / 1e3);
	return text_format("%.1f s", (double)us / 1e6);
}

char *format_shell(const char *text)
{
	_cleanup_buffer_ struct buffer quoted = { 0 };

	buffer_append_text(&quoted, "'");
	for (; *text; text++)
		if (*text == '\'')
			buffer_append_text(&quoted, "'\\''");
		else
			buffer_append(&quoted, text, 1);
	buffer_append_text(&quoted, "'");
	return buffer_steal_text(&quoted);
}

char *format_clean(char *text, bool keep_lines)
{
	bool is_utf8 = utf8_is_valid(text, strlen(text));
	unsigned char *c;

	for (c = (unsigned char *)text; *c; c++) {
		if (keep_lines && (*c == '\n' || *c == '\t'))
			continue;
		if (*c < ' ' || *c == 0x7f || (!is_utf8 && *c >= 0x80))
			*c = '?';
		/* The C1 controls are C2 80 to C2 9F; no other character has these. */
		if (*c == 0xc2 && c[1] < 0xa0)
			c[0] = c[1] = '?';
	}
	return text;
}
