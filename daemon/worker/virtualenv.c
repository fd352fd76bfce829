#include "daemon/worker/virtualenv.h"

#include "base/util.h"

bool virtualenv_is_python(const char *name)
{
	size_t n = text_starts_with(name, "python") ? 6 : text_starts_with(name, "pypy") ? 4 : 0;

	if (!n)
		return false;
	name += n + strspn(name + n, "0123456789.");
	return text_equal(name, "") || text_equal(name, "t") || text_equal(name, "d");
}

bool virtualenv_is_at(const struct place *place, const char *root)
{
	_cleanup_free_ char *config = text_format("%spyvenv.cfg", root);

	return place_type_of(place, config) == PLACE_FILE;
}

bool virtualenv_find(const struct place *place, size_t count, char root[256])
{
	size_t i;

	for (i = 0; i < count; i++) {
		struct place_view view = place_get(place, i);
		const char *slash = view.name ? strchr(view.name, '/') : NULL;
		size_t n = slash ? (size_t)(slash - view.name) + 1 : 0;

		if (!view.name || view.type != PLACE_FILE || n > 255)
			continue;
		if (!text_equal(view.name + n, "pyvenv.cfg"))
			continue;
		memcpy(root, view.name, n);
		root[n] = 0;
		return true;
	}
	return false;
}

const char *virtualenv_find_python(const struct place *place, size_t count, const char *root)
{
	_cleanup_free_ char *bin = text_format("%sbin/", root);
	size_t i;

	for (i = 0; i < count; i++) {
		struct place_view view = place_get(place, i);

		if (view.name && view.type != PLACE_DIRECTORY && text_starts_with(view.name, bin) &&
			virtualenv_is_python(view.name + strlen(bin)))
			return view.name;
	}
	return NULL;
}
