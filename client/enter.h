#pragma once
/* What a process does that is to be a task in an environment. One thread. */
#include <pyenvd.pb-c.h>
#include "base/error.h"

/* Sets the environment's variables beside those that are there, and goes to its working
 * directory. */
int enter_environment(const Pyenvd__V1__CreateEnvironmentResponse *environment, struct error *err);
