/* --requirements and what belongs to it, in either order: without it, the daemon says that
 * there is no file. */
#include <stdlib.h>
#include <string.h>
#include "base/util.h"
#include "proto/request-internal.h"

int request_take_requirements(void *data, const char *value, struct error *err)
{
	struct request *request = data;
	const char *hash = strchrnul(value, '#');
	char *path = NULL, *packages = NULL;
	int r;

	request_begin(request);
	r = request_make_absolute(value, (size_t)(hash - value), &path, err);
	if (r == 0 && *hash)
		r = request_make_absolute(hash + 1, strlen(hash + 1), &packages, err);
	if (r) {
		free(path);
		error_prefix(err, "requirements '%s'", value);
		return r;
	}
	request_set_text(&request->requirements.path, path);
	if (packages)
		request_set_text(&request->requirements.package_directory, packages);
	request->message.requirements = &request->requirements;
	return 0;
}

int request_take_refresh(void *data, const char *value, struct error *err)
{
	struct request *request = data;

	request_begin(request);
	request->requirements.refresh = true;
	request->message.requirements = &request->requirements;
	return 0;
}
