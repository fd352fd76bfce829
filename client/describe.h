#pragma once
/* One thing in detail, as lines of "name: value", and the words for its parts. Any
 * thread. */
#include <pyenvd.pb-c.h>
#include <stdio.h>

void describe_created(const Pyenvd__V1__CreateEnvironmentResponse *response, FILE *file);
void describe_explanation(const Pyenvd__V1__ExplainEnvironmentResponse *response, FILE *file);
void describe_environment(const Pyenvd__V1__Environment *environment, FILE *file);
void describe_layer(const Pyenvd__V1__Layer *layer, FILE *file);
void describe_lease(const Pyenvd__V1__Lease *lease, FILE *file);
void describe_status(const Pyenvd__V1__GetStatusResponse *status, FILE *file);

/* Borrowed. */
const char *describe_layer_state(const Pyenvd__V1__Layer *layer);
const char *describe_phase(Pyenvd__V1__Phase phase);
/* Owned by the caller: a name, or the number of a user without one. */
char *describe_user(uint32_t uid);
/* Owned by the caller: "process 4711", "connection", "time-to-live". */
char *describe_holder(const Pyenvd__V1__Lease *lease);
