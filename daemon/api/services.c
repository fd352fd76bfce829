#include "daemon/api/services.h"

const struct rpc_service *const services_all[] = {
	&environments_service,
	&admin_service,
	&beam_pool_service,
	&health_service,
	&reflection_service,
	&reflection_alpha_service,
	NULL,
};
