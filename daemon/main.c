/* pyenvd: prepares Python environments once for every task on this host. */
#include <stdlib.h>
#include "base/log.h"
#include "daemon/daemon.h"

int main(int argc, char **argv)
{
	_cleanup_(daemon_freep) struct daemon *daemon = NULL;
	_cleanup_(config_deinit) struct config config = { 0 };
	struct error err = { 0 };
	int r;

	r = config_parse(&config, argc, argv, &err);
	if (r == CONFIG_E_SHOWN)
		return EXIT_SUCCESS;
	if (r == 0) {
		log_set_level(config.log_level);
		r = daemon_new(&config, &daemon, &err);
	}
	if (r == 0)
		r = daemon_run(daemon, &err);
	if (r)
		log_failure(LOG_LEVEL_ERROR, "fatal", &err);
	return r ? EXIT_FAILURE : EXIT_SUCCESS;
}
