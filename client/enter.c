#include "client/enter.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

int enter_environment(const Pyenvd__V1__CreateEnvironmentResponse *environment, struct error *err)
{
	size_t i;

	for (i = 0; i < environment->n_variables; i++)
		if (setenv(environment->variables[i]->key, environment->variables[i]->value, 1))
			return fail_errno(err, -errno, NULL, "cannot set the variable '%s'",
				environment->variables[i]->key);
	if (chdir(environment->working_directory))
		return fail_errno(
			err, -errno, NULL, "cannot enter '%s'", environment->working_directory);
	return 0;
}
