#pragma once
/* Tables of what the daemon has: a header, and a row for each message. Ages are
 * those of the moment. Any thread. */
#include <pyenvd.pb-c.h>
#include "client/table.h"

struct table list_rows_environments(void);
void list_rows_add_environment(struct table *table, const Pyenvd__V1__Environment *environment);

struct table list_rows_layers(void);
void list_rows_add_layer(struct table *table, const Pyenvd__V1__Layer *layer);

struct table list_rows_leases(void);
void list_rows_add_lease(struct table *table, const Pyenvd__V1__Lease *lease);

struct table list_rows_creations(void);
void list_rows_add_creation(struct table *table, const Pyenvd__V1__Creation *creation);
struct table list_rows_artifacts(void);
void list_rows_add_artifact(struct table *table, const Pyenvd__V1__Artifact *artifact);
