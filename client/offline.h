#pragma once
/*
 * The dependency hash that a create gives, without a daemon: its rules are in proto/, and what
 * it has files digested by, requirements read and interpreters asked is the program that does
 * so for the daemon. One thread.
 */
#include "client/helper.h"
#include "proto/hash.h"

struct offline {
	struct helper *helper;
	bool may_use_uv; /* the daemon's configuration has one, and not only pip */
};

/* As of this user. A failure says which input and why; nothing is guessed. */
int offline_hash(const struct offline *offline, const struct spec *spec, char hash[SHA256_HEX_SIZE],
	struct hash_components *ret, struct error *err);
