/* What of the configuration says how requirements are installed. */
#include <errno.h>
#include <unistd.h>
#include "daemon/config.h"
#include "proto/uv.h"

int config_finish_install(struct config *config, bool is_root, struct error *err)
{
	struct core_install *install = &config->core.install;

	if (config->uv && access(config->uv, X_OK))
		return fail_errno(err, -errno, NULL, "uv: '%s' cannot be executed", config->uv);
	if (!config->uv)
		config->uv = uv_find(is_root ? NULL : getenv("HOME"));
	if (install->installer == CORE_INSTALLER_UV && !config->uv)
		return fail(
			err, -ENOENT, NULL, "installer is uv, and there is no uv: give its path");
	install->uv = config->uv;
	install->index_url = config->index_url;
	install->extra_index_urls = config->extra_index_urls;
	return 0;
}
