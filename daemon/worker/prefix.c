#include "daemon/worker/prefix.h"

#include "base/util.h"

bool prefix_fits(const struct prefix *prefix)
{
	return !prefix->is_binary || strlen(prefix->to) <= strlen(prefix->from);
}

bool prefix_occurs(const struct prefix *prefix, const void *text, size_t size)
{
	return memmem(text, size, prefix->from, strlen(prefix->from));
}

/* From @from to @to; *count is how many there were. */
static int replace(const struct prefix *prefix, const char *from, const char *to, size_t *count,
	prefix_write *write, void *data, struct error *err)
{
	size_t n = strlen(prefix->from);
	const char *at;
	int r = 0;

	for (*count = 0; r == 0 && (at = memmem(from, (size_t)(to - from), prefix->from, n));
		(*count)++) {
		r = write(data, from, (size_t)(at - from), err);
		if (r == 0)
			r = write(data, prefix->to, strlen(prefix->to), err);
		from = at + n;
	}
	return r ? r : write(data, from, (size_t)(to - from), err);
}

static int write_zeros(size_t size, prefix_write *write, void *data, struct error *err)
{
	static const char zeros[4096];
	size_t n;
	int r = 0;

	for (; r == 0 && size; size -= n) {
		n = size < sizeof(zeros) ? size : sizeof(zeros);
		r = write(data, zeros, n, err);
	}
	return r;
}

/* What follows the last NUL is no string, and stays. */
static int replace_strings(const struct prefix *prefix, const char *from, const char *to,
	prefix_write *write, void *data, struct error *err)
{
	size_t n = strlen(prefix->from), spare = n - strlen(prefix->to), count;
	const char *at, *end;
	int r = 0;

	while (r == 0 && (at = memmem(from, (size_t)(to - from), prefix->from, n)) &&
		(end = memchr(at, 0, (size_t)(to - at)))) {
		r = write(data, from, (size_t)(at - from), err);
		if (r == 0)
			r = replace(prefix, at, end, &count, write, data, err);
		if (r == 0)
			r = write_zeros(count * spare, write, data, err);
		from = end;
	}
	return r ? r : write(data, from, (size_t)(to - from), err);
}

int prefix_replace(const struct prefix *prefix, const void *text, size_t size, prefix_write *write,
	void *data, struct error *err)
{
	const char *from = text, *to = from + size;
	size_t count;

	if (prefix->is_binary)
		return replace_strings(prefix, from, to, write, data, err);
	return replace(prefix, from, to, &count, write, data, err);
}
