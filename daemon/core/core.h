#pragma once
/*
 * What all of core/ stands on, put together by daemon.c: borrowed, never changed
 * after the start but for the counters. Loop thread only.
 */
#include "base/identity.h"
#include "daemon/jobs/pool.h"
#include "daemon/jobs/watch.h"
#include "daemon/store/db.h"
#include "daemon/store/tree.h"

enum core_installer {
	CORE_INSTALLER_AUTO, /* uv when it is there */
	CORE_INSTALLER_UV,
	CORE_INSTALLER_PIP,
};

/* How requirements are installed. Text is borrowed; NULL: none. */
struct core_install {
	enum core_installer installer;
	const char *uv; /* absolute path */
	const char *index_url, *extra_index_urls; /* may hold secrets; the second: by blanks */
	const struct identity *users; /* of the slots; borrowed */
	size_t user_count;
	uint32_t slots; /* how many at once; each has a user if there are any */
	bool needs_users; /* we may become others, so nothing is installed as ourselves */
	uint32_t seconds; /* for one */
};

struct core_config {
	bool share_all; /* layers may be handed to every uid */
	struct job_limits limits; /* of one layer */
	uint32_t threads; /* of one worker */
	uint64_t max_bytes; /* of all layers and artifacts; 0: no limit */
	uint32_t max_leases; /* of one uid */
	uint32_t max_creates, max_uploads; /* in flight, of one uid */
	uint32_t upload_timeout_ms; /* for the next bytes of an upload */
	struct core_install install;
};

struct core_counters {
	uint64_t creates, create_hits, create_failures;
	uint64_t layers_made, layers_failed, layers_collected;
	uint64_t leases_released, leases_expired;
	uint64_t uploads, uploads_failed, artifacts_collected;
};

struct core {
	struct db *db;
	struct tree *tree;
	struct pool *pool;
	struct watch *watch;
	struct core_config config;
	struct core_counters counters;
	char boot_id[37];
	char salt[33]; /* keys the hashes of what must not be kept in clear */
};

/* Who calls. */
struct peer {
	struct identity identity;
	struct process process; /* pid 0: not visible to us */
	bool is_nested; /* its pids are not ours */
	bool is_admin;
	char reader[SHA256_HEX_SIZE]; /* hash_reader() of the identity */
};

/* Whether requirements may be installed by uv. */
static inline bool core_may_use_uv(const struct core *core)
{
	const struct core_install *install = &core->config.install;

	return install->uv && install->installer != CORE_INSTALLER_PIP;
}

/* The owner of what is made for this uid. */
static inline int64_t core_owner(const struct core *core, uid_t uid)
{
	return core->config.share_all ? DB_SHARED : (int64_t)uid;
}
