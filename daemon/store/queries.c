#include "daemon/store/queries.h"

#define STORED_LAYER_COLUMNS                                                                       \
	"id, key, owner, state, kind, name, digest, artifact_bytes, bytes, entries, durable,"      \
	" created, used, shared_bytes, superseded"

#define LAYER_COLUMNS                                                                              \
	STORED_LAYER_COLUMNS                                                                       \
	", (SELECT COUNT(DISTINCT lease) FROM lease_layers WHERE layer = layers.id)"

#define ENVIRONMENT_COLUMNS                                                                        \
	"hash, owner, created, used, uses,"                                                        \
	" (SELECT COUNT(*) FROM leases AS l WHERE l.hash = e.hash AND l.owner = e.owner),"         \
	" (SELECT coalesce(SUM(bytes), 0) FROM layers WHERE id IN (SELECT layer"                   \
	"  FROM environment_layers AS el WHERE el.hash = e.hash AND el.owner = e.owner))"

#define LEASE_COLUMNS                                                                              \
	"id, uid, gid, hash, owner, request_id, request_digest, label, holder, pid, pid_start,"    \
	" boot_id, expires, grace_ms, created, worker, guardian_pid, guardian_start"

#define ARTIFACT_COLUMNS "digest, uid, bytes, durable, created, used"
#define LEASED_ARTIFACT                                                                            \
	"EXISTS (SELECT 1 FROM lease_artifacts AS l WHERE l.digest = a.digest AND l.uid = a.uid)"

/* Whose rows a list shows: a uid's and those that all share; -1: all. */
#define VISIBLE_TO(uid) "(" uid " = -1 OR owner = " uid " OR owner = -1)"

const char *const queries[QUERY_COUNT] = {
	[QUERY_GET_SETTING] = "SELECT value FROM settings WHERE name = ?1",
	[QUERY_PUT_SETTING] = "INSERT INTO settings (name, value) VALUES (?1, ?2)"
			      " ON CONFLICT DO UPDATE SET value = excluded.value",

	[QUERY_FIND_DIGEST] =
		"SELECT sha256 FROM digests WHERE dev = ?1 AND ino = ?2 AND reader = ?3"
		" AND size = ?4 AND mtime_ns = ?5 AND ctime_ns = ?6",
	[QUERY_PUT_DIGEST] =
		"INSERT INTO digests (dev, ino, reader, size, mtime_ns, ctime_ns, sha256, used)"
		" VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) ON CONFLICT DO UPDATE SET"
		" size = excluded.size, mtime_ns = excluded.mtime_ns,"
		" ctime_ns = excluded.ctime_ns, sha256 = excluded.sha256, used = excluded.used",
	[QUERY_HAS_ARTIFACT_SIZE] = "SELECT EXISTS (SELECT 1 FROM digests WHERE size = ?1)"
				    " OR EXISTS (SELECT 1 FROM layers WHERE artifact_bytes = ?1)",
	/* Finding a digest writes nothing: it counts as used with the layer that
	 * was made from what it names. */
	[QUERY_TRIM_DIGESTS] =
		"DELETE FROM digests WHERE used < ?1 AND NOT EXISTS (SELECT 1 FROM layers"
		" WHERE layers.digest = digests.sha256 AND layers.used >= ?1)",

	[QUERY_ADD_LAYER] =
		"INSERT INTO layers (id, key, owner, state, kind, name, digest, artifact_bytes,"
		" bytes, entries, durable, created, published, used)"
		" VALUES (?1, ?2, ?3, 1, ?4, ?5, ?6, ?7, 0, 0, 0, ?8, 0, ?8)",
	[QUERY_SET_LAYER_KEY] = "UPDATE layers SET key = ?2, digest = ?3, artifact_bytes = ?4"
				" WHERE id = ?1 AND key = '' AND state = 1",
	[QUERY_PUBLISH_LAYER] =
		"UPDATE layers SET state = 2, bytes = ?2, entries = ?3, shared_bytes = ?4,"
		" published = ?5, used = ?5 WHERE id = ?1 AND state = 1",
	[QUERY_SUPERSEDE_LAYER] =
		"UPDATE layers SET superseded = 1 WHERE key = ?1 AND owner = ?2 AND state = 2"
		" AND superseded = 0 AND state != 3 AND key != ''",
	[QUERY_TAKE_LAYER_KEY] =
		"UPDATE layers SET key = ?2 WHERE id = ?1 AND key = '' AND state = 1",
	[QUERY_MOVE_ENVIRONMENTS] =
		"UPDATE environment_layers SET layer = n.id FROM layers AS o JOIN layers AS n"
		" ON n.key = o.key AND n.owner = o.owner WHERE layer = ?1 AND o.id = ?1"
		" AND o.superseded = 1 AND n.superseded = 0 AND n.state = 2",
	[QUERY_LIST_SUPERSEDED_LAYERS] =
		"SELECT " LAYER_COLUMNS " FROM layers WHERE superseded = 1 AND state = 2"
		" AND NOT EXISTS (SELECT 1 FROM lease_layers WHERE layer = layers.id)",
	[QUERY_PUT_INSTALL] =
		"INSERT OR REPLACE INTO installs (layer, site, scripts, resolved, resolved_at)"
		" VALUES (?1, ?2, ?3, ?4, ?5)",
	[QUERY_FIND_INSTALL] =
		"SELECT site, scripts, resolved, resolved_at FROM installs WHERE layer = ?1",
	[QUERY_LIST_SIBLINGS] =
		"SELECT id FROM layers JOIN installs ON layer = id WHERE owner = ?1 AND state = 2"
		" ORDER BY instr(site, ?2) = 0, used DESC, id LIMIT ?3",
	[QUERY_IS_LAYER_LEASED] =
		"SELECT EXISTS (SELECT 1 FROM lease_layers WHERE layer = ?1)"
		" OR EXISTS (SELECT 1 FROM environment_layers AS el JOIN leases USING (hash, owner)"
		" WHERE el.layer = ?1) FROM layers WHERE id = ?1",
	[QUERY_DELETE_ENVIRONMENTS_OF_LAYER] =
		"DELETE FROM environments WHERE (hash, owner) IN"
		" (SELECT hash, owner FROM environment_layers WHERE layer = ?1)",
	[QUERY_CONDEMN_LAYER] = "UPDATE layers SET state = 3 WHERE id = ?1",
	[QUERY_DELETE_LAYER] = "DELETE FROM layers WHERE id = ?1",
	/* The odd terms are those of the index, word for word: else it is not used.
	 * Each hit asks this; leases are not counted, there may be thousands. */
	[QUERY_FIND_LAYER_BY_KEY] = "SELECT " STORED_LAYER_COLUMNS ", 0 FROM layers WHERE key = ?1"
				    " AND owner = ?2 AND state = 2 AND superseded = 0"
				    " AND state != 3 AND key != ''",
	[QUERY_FIND_LAYER] = "SELECT " LAYER_COLUMNS " FROM layers WHERE id = ?1",
	[QUERY_MARK_DURABLE] =
		"UPDATE layers SET durable = 1 WHERE state = 2 AND durable = 0 AND published < ?1",
	[QUERY_LIST_LAYERS] = "SELECT " LAYER_COLUMNS " FROM layers WHERE id > ?1"
			      " AND " VISIBLE_TO("?2") " ORDER BY id LIMIT ?3",
	[QUERY_LIST_LAYERS_IN_STATE] = "SELECT " LAYER_COLUMNS
				       " FROM layers WHERE state = ?1 ORDER BY id",
	[QUERY_LIST_IDLE_LAYERS] =
		"SELECT " LAYER_COLUMNS " FROM layers WHERE state = 2"
		" AND NOT EXISTS (SELECT 1 FROM lease_layers WHERE layer = layers.id)"
		" ORDER BY superseded = 0, used, id",

	[QUERY_USE_ENVIRONMENT] = "UPDATE environments SET uses = uses + 1, used = ?3"
				  " WHERE hash = ?1 AND owner = ?2",
	[QUERY_USE_LAYERS_OF_ENVIRONMENT] =
		"UPDATE layers SET used = ?3 WHERE id IN (SELECT layer FROM environment_layers"
		" WHERE hash = ?1 AND owner = ?2)",
	[QUERY_ADD_ENVIRONMENT] = "INSERT INTO environments (hash, owner, created, used, uses)"
				  " VALUES (?1, ?2, ?3, ?3, 1)",
	[QUERY_ADD_COMPONENT] = "INSERT INTO components (hash, owner, position, kind, name, value)"
				" VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
	[QUERY_ADD_ENVIRONMENT_LAYER] =
		"INSERT INTO environment_layers (hash, owner, position, layer)"
		" SELECT ?1, ?2, ?3, id FROM layers WHERE id = ?4 AND state = 2",
	[QUERY_USE_LAYER] = "UPDATE layers SET used = ?2 WHERE id = ?1",
	[QUERY_FIND_ENVIRONMENT] = "SELECT " ENVIRONMENT_COLUMNS " FROM environments AS e"
				   " WHERE hash >= ?1 AND hash < ?1 || 'g'"
				   " AND " VISIBLE_TO("?2") " LIMIT 2",
	[QUERY_LIST_ENVIRONMENTS] = "SELECT " ENVIRONMENT_COLUMNS " FROM environments AS e"
				    " WHERE (hash, owner) > (?1, ?2)"
				    " AND " VISIBLE_TO("?3") " ORDER BY hash, owner LIMIT ?4",
	/* What is counted, is counted of those alone that are wanted. */
	[QUERY_LIST_LATEST_ENVIRONMENTS] =
		"SELECT " ENVIRONMENT_COLUMNS " FROM environments AS e WHERE (hash, owner) IN"
		" (SELECT hash, owner FROM environments WHERE " VISIBLE_TO(
			"?1") " ORDER BY used DESC, hash, owner LIMIT ?2) ORDER BY used DESC, "
			      "hash, owner",
	[QUERY_LIST_COMPONENTS] = "SELECT kind, name, value FROM components"
				  " WHERE hash = ?1 AND owner = ?2 ORDER BY position",
	[QUERY_LIST_ENVIRONMENT_LAYERS] = "SELECT layer FROM environment_layers"
					  " WHERE hash = ?1 AND owner = ?2 ORDER BY position",
	[QUERY_TRIM_ENVIRONMENTS] =
		"DELETE FROM environments AS e WHERE used < ?1 AND NOT EXISTS (SELECT 1"
		" FROM leases AS l WHERE l.hash = e.hash AND l.owner = e.owner)",

	[QUERY_ADD_LEASE] = "INSERT INTO leases (" LEASE_COLUMNS ") VALUES"
			    " (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, "
			    "?16, ?17, ?18)",
	[QUERY_ADD_LEASE_LAYER] = "INSERT INTO lease_layers (lease, position, layer)"
				  " SELECT ?1, ?2, id FROM layers WHERE id = ?3 AND state = 2",
	[QUERY_USE_LAYERS_OF_LEASE] =
		"UPDATE layers SET used = ?2 WHERE id IN (SELECT layer FROM lease_layers"
		" WHERE lease = ?1)",
	[QUERY_DELETE_LEASE] = "DELETE FROM leases WHERE id = ?1",
	[QUERY_FIND_LEASE] = "SELECT " LEASE_COLUMNS " FROM leases WHERE id = ?1",
	[QUERY_FIND_LEASE_BY_REQUEST] = "SELECT " LEASE_COLUMNS
					" FROM leases WHERE uid = ?1 AND request_id = ?2",
	[QUERY_SET_LEASE_EXPIRY] = "UPDATE leases SET expires = ?2 WHERE id = ?1",
	[QUERY_LIST_LEASE_LAYERS] =
		"SELECT layer FROM lease_layers WHERE lease = ?1 ORDER BY position",
	[QUERY_LIST_LEASES] = "SELECT " LEASE_COLUMNS " FROM leases WHERE id > ?1"
			      " AND (?2 = -1 OR uid = ?2) ORDER BY id LIMIT ?3",

	[QUERY_ADD_ARTIFACT] = "INSERT INTO artifacts (digest, uid, bytes, durable, created, used)"
			       " VALUES (?1, ?2, ?3, 0, ?4, ?4)",
	[QUERY_USE_ARTIFACT] = "UPDATE artifacts SET used = ?3 WHERE digest = ?1 AND uid = ?2",
	[QUERY_DELETE_ARTIFACT] = "DELETE FROM artifacts WHERE digest = ?1 AND uid = ?2",
	[QUERY_FIND_ARTIFACT] = "SELECT " ARTIFACT_COLUMNS
				" FROM artifacts WHERE digest = ?1 AND uid = ?2",
	[QUERY_MARK_ARTIFACTS_DURABLE] =
		"UPDATE artifacts SET durable = 1 WHERE durable = 0 AND created < ?1",
	[QUERY_LIST_ARTIFACTS] = "SELECT " ARTIFACT_COLUMNS
				 " FROM artifacts WHERE (digest, uid) > (?1, ?2)"
				 " AND (?3 = -1 OR uid = ?3) ORDER BY digest, uid LIMIT ?4",
	[QUERY_LIST_IDLE_ARTIFACTS] = "SELECT " ARTIFACT_COLUMNS
				      " FROM artifacts AS a WHERE NOT " LEASED_ARTIFACT
				      " ORDER BY used, digest, uid",
	[QUERY_ADD_LEASE_INTERPRETER] =
		"INSERT INTO lease_interpreters (lease, path, home) VALUES (?1, ?2, ?3)",
	[QUERY_FIND_LEASE_INTERPRETER] =
		"SELECT path, home FROM lease_interpreters WHERE lease = ?1",
	[QUERY_ADD_LEASE_ARTIFACT] =
		"INSERT INTO lease_artifacts (lease, name, digest, uid)"
		" SELECT l.id, ?2, a.digest, a.uid FROM leases AS l, artifacts AS a"
		" WHERE l.id = ?1 AND a.digest = ?3 AND a.uid = l.uid",
	[QUERY_USE_ARTIFACTS_OF_LEASE] =
		"UPDATE artifacts SET used = ?2 WHERE (digest, uid) IN"
		" (SELECT digest, uid FROM lease_artifacts WHERE lease = ?1)",
	[QUERY_LIST_LEASE_ARTIFACTS] =
		"SELECT name, digest FROM lease_artifacts WHERE lease = ?1 ORDER BY name",

	[QUERY_GET_TOTALS] = "SELECT (SELECT COUNT(*) FROM environments), COUNT(*),"
			     " (SELECT COUNT(*) FROM leases), coalesce(SUM(bytes), 0),"
			     " coalesce(SUM(bytes) FILTER (WHERE EXISTS (SELECT 1 FROM lease_layers"
			     " WHERE layer = layers.id)), 0)"
			     " + (SELECT coalesce(SUM(bytes), 0) FROM artifacts AS a"
			     " WHERE " LEASED_ARTIFACT "), (SELECT COUNT(*) FROM artifacts),"
			     " (SELECT coalesce(SUM(bytes), 0) FROM artifacts)"
			     " FROM layers WHERE state = 2",
};
