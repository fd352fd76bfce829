/*
 * "sub/base.txt" includes "../common.txt": that is "common.txt". As text alone: where "sub"
 * is a link to a directory elsewhere, the file system would find another file. So whoever
 * reads files reads them by the path as it was written, and knows them by these names.
 */
#include "proto/requirements-name.h"

#include "base/buffer.h"

/* Takes the last component off, if there is one that is not "..". Above "/" is "/". */
static bool climb(struct buffer *name)
{
	size_t n = name->size;

	if (n == 1 && name->data[0] == '/')
		return true;
	while (n && name->data[n - 1] != '/')
		n--;
	if (n == name->size || (name->size - n == 2 && memcmp(name->data + n, "..", 2) == 0))
		return false;
	name->size = n > 1 ? n - 1 : n;
	return true;
}

static void add_components(struct buffer *name, const char *path)
{
	size_t n;

	for (; *path; path += n + (path[n] == '/')) {
		n = strcspn(path, "/");
		if (n == 0 || (n == 1 && path[0] == '.'))
			continue;
		if (n == 2 && path[0] == '.' && path[1] == '.' && climb(name))
			continue;
		if (name->size && name->data[name->size - 1] != '/')
			buffer_append_text(name, "/");
		buffer_append(name, path, n);
	}
}

char *requirements_name_join(const char *from, const char *text)
{
	const char *slash = strrchr(from, '/');
	_cleanup_free_ char *path = slash && *text != '/'
		? text_format("%.*s/%s", (int)(slash - from), from, text)
		: text_copy(text);
	struct buffer name = { 0 };

	if (*path == '/')
		buffer_append_text(&name, "/");
	add_components(&name, path);
	return buffer_steal_text(&name);
}

bool requirements_name_is_beneath(const char *name)
{
	return *name && *name != '/' && !text_equal(name, "..") && !text_starts_with(name, "../");
}
