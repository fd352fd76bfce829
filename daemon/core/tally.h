#pragma once
/* How many of something each uid has. Zeroed is empty. Loop thread only. */
#include <stdint.h>
#include <sys/types.h>
#include "base/map.h"

struct tally {
	struct map map; /* of struct tally_entry, by uid */
};

void tally_deinit(struct tally *tally);
void tally_add(struct tally *tally, uid_t uid);
void tally_remove(struct tally *tally, uid_t uid); /* what was added */
uint64_t tally_get(const struct tally *tally, uid_t uid);
