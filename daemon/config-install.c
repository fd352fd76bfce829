/* What of the configuration says how requirements are installed. */
#include <errno.h>
#include <unistd.h>
#include "daemon/config.h"

/* The first that is there; owned. */
static char *find_uv(bool is_root)
{
	const char *home = is_root ? NULL : getenv("HOME");
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

int config_finish_install(struct config *config, bool is_root, struct error *err)
{
	struct core_install *install = &config->core.install;

	if (config->uv && access(config->uv, X_OK))
		return fail_errno(err, -errno, NULL, "uv: '%s' cannot be executed", config->uv);
	if (!config->uv)
		config->uv = find_uv(is_root);
	if (install->installer == CORE_INSTALLER_UV && !config->uv)
		return fail(
			err, -ENOENT, NULL, "installer is uv, and there is no uv: give its path");
	install->uv = config->uv;
	install->index_url = config->index_url;
	install->extra_index_urls = config->extra_index_urls;
	return 0;
}
