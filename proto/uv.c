#include "proto/uv.h"

#include <unistd.h>
#include "base/util.h"

char *uv_find(const char *home)
{
	static const char *const places[] = { "/usr/local/bin/uv", "/usr/bin/uv" };
	_cleanup_free_ char *own = home ? text_format("%s/.local/bin/uv", home) : NULL;
	size_t i;

	if (own && access(own, X_OK) == 0)
		return STEAL(own);
	for (i = 0; i < ARRAY_SIZE(places); i++)
		if (access(places[i], X_OK) == 0)
			return text_copy(places[i]);
	return NULL;
}
