#pragma once
/*
 * Single flight: a job that is under way once for all who ask for the same, whom a key
 * brings together. Embedded in its owner's struct. Loop thread only.
 */
#include "base/map.h"
#include "daemon/core/core.h"
#include "daemon/core/creation.h"

/* Those of one kind. */
struct flights {
	struct core *core; /* borrowed */
	struct map by_key; /* of flight.node */
};

void flights_init(struct flights *flights, struct core *core);
void flights_deinit(struct flights *flights); /* there are none */

struct flight {
	/* The owner's to fill, after flight_init(). The job's done() is to end in
	 * flight_end(). */
	struct job job;
	/* Submits the job, each time that it is begun; NULL: pool_submit() is all. */
	int (*submit)(struct flight *flight, struct error *err);
	/* Nobody knows it any more: flight_deinit(), and free what it is embedded in. */
	void (*over)(struct flight *flight);

	/* To read. */
	struct creation *creation; /* owned; for those who wait */
	char *key; /* owned */
	struct identity identity; /* of the peer, for the job */
	int64_t begun; /* unix ns: before the job was submitted */

	/* private to flight.c */
	struct map_node node; /* flights.by_key */
	struct flights *flights;
	struct timer failed_early;
	struct error err; /* why it could not be submitted */
};

/* NULL: nobody has asked for it. */
struct flight *flights_find(const struct flights *flights, const char *key);
/* The first to join its creation begins it. @flight is zeroed, and no other has this key.
 * Inputs are copied. */
void flight_init(
	struct flight *flight, struct flights *flights, const char *key, const struct peer *peer);
void flight_deinit(struct flight *flight);
/* The job has ended, and well where @err is NULL. @flight may be gone afterwards. */
void flight_end(struct flight *flight, const struct error *err);
