#pragma once
/*
 * How the index became what it is: step n takes a database from `user_version`
 * n to n + 1. A new database walks all of them. A step that was released is
 * never edited. Included by db.c alone.
 *
 * Ids, hashes and keys are texts, and the tables are keyed by them without a
 * row number in between: what is written at each lease touches one page per
 * table that way, not two. An owner is a uid, or -1 for what all may share.
 */

#define APPLICATION_ID "1887004022" /* "pyev" */

static const char *const migrations[] = {
	"PRAGMA application_id = " APPLICATION_ID ";"

	"CREATE TABLE settings ("
	"	name TEXT PRIMARY KEY,"
	"	value TEXT NOT NULL"
	") STRICT, WITHOUT ROWID;"

	/* One a file and reader: what was known of an earlier state is of no use. */
	"CREATE TABLE digests ("
	"	dev INTEGER NOT NULL,"
	"	ino INTEGER NOT NULL,"
	"	reader TEXT NOT NULL,"
	"	size INTEGER NOT NULL,"
	"	mtime_ns INTEGER NOT NULL,"
	"	ctime_ns INTEGER NOT NULL,"
	"	sha256 TEXT NOT NULL,"
	"	used INTEGER NOT NULL,"
	"	PRIMARY KEY (ino, dev, reader)"
	") STRICT, WITHOUT ROWID;"
	"CREATE INDEX digests_size ON digests (size);"

	"CREATE TABLE layers ("
	"	id TEXT PRIMARY KEY CHECK (id != ''),"
	"	key TEXT NOT NULL,"
	"	owner INTEGER NOT NULL,"
	"	state INTEGER NOT NULL CHECK (state BETWEEN 1 AND 3),"
	"	kind TEXT NOT NULL,"
	"	name TEXT NOT NULL,"
	"	digest TEXT NOT NULL,"
	"	artifact_bytes INTEGER NOT NULL,"
	"	bytes INTEGER NOT NULL,"
	"	entries INTEGER NOT NULL,"
	"	durable INTEGER NOT NULL CHECK (durable IN (0, 1)),"
	"	created INTEGER NOT NULL,"
	"	published INTEGER NOT NULL,"
	"	used INTEGER NOT NULL"
	") STRICT, WITHOUT ROWID;"
	"CREATE UNIQUE INDEX layers_key ON layers (key, owner) WHERE state != 3 AND key != '';"
	"CREATE INDEX layers_digest ON layers (digest);"
	"CREATE INDEX layers_artifact_bytes ON layers (artifact_bytes);"

	"CREATE TABLE environments ("
	"	hash TEXT NOT NULL CHECK (hash != ''),"
	"	owner INTEGER NOT NULL,"
	"	created INTEGER NOT NULL,"
	"	used INTEGER NOT NULL,"
	"	uses INTEGER NOT NULL,"
	"	PRIMARY KEY (hash, owner)"
	") STRICT, WITHOUT ROWID;"

	"CREATE TABLE components ("
	"	hash TEXT NOT NULL,"
	"	owner INTEGER NOT NULL,"
	"	position INTEGER NOT NULL,"
	"	kind TEXT NOT NULL,"
	"	name TEXT NOT NULL,"
	"	value TEXT NOT NULL,"
	"	PRIMARY KEY (hash, owner, position),"
	"	FOREIGN KEY (hash, owner) REFERENCES environments ON DELETE CASCADE"
	") STRICT, WITHOUT ROWID;"

	/* A layer may stand at several positions: one archive under two names. */
	"CREATE TABLE environment_layers ("
	"	hash TEXT NOT NULL,"
	"	owner INTEGER NOT NULL,"
	"	position INTEGER NOT NULL,"
	"	layer TEXT NOT NULL REFERENCES layers,"
	"	PRIMARY KEY (hash, owner, position),"
	"	FOREIGN KEY (hash, owner) REFERENCES environments ON DELETE CASCADE"
	") STRICT, WITHOUT ROWID;"
	"CREATE INDEX environment_layers_layer ON environment_layers (layer);"

	/* Ids grow with time, so that what is added at the same time lies together. */
	"CREATE TABLE leases ("
	"	id TEXT PRIMARY KEY CHECK (id != ''),"
	"	uid INTEGER NOT NULL,"
	"	gid INTEGER NOT NULL,"
	"	hash TEXT NOT NULL,"
	"	owner INTEGER NOT NULL,"
	"	request_id TEXT CHECK (request_id != ''),"
	"	request_digest TEXT NOT NULL,"
	"	label TEXT NOT NULL,"
	"	holder INTEGER NOT NULL CHECK (holder BETWEEN 1 AND 3),"
	"	pid INTEGER NOT NULL,"
	"	pid_start INTEGER NOT NULL,"
	"	boot_id TEXT NOT NULL,"
	"	expires INTEGER NOT NULL,"
	"	grace_ms INTEGER NOT NULL,"
	"	created INTEGER NOT NULL,"
	"	FOREIGN KEY (hash, owner) REFERENCES environments"
	") STRICT, WITHOUT ROWID;"
	"CREATE UNIQUE INDEX leases_request ON leases (uid, request_id)"
	"	WHERE request_id IS NOT NULL;"
	"CREATE INDEX leases_environment ON leases (hash, owner);"

	"CREATE TABLE lease_layers ("
	"	lease TEXT NOT NULL REFERENCES leases ON DELETE CASCADE,"
	"	position INTEGER NOT NULL,"
	"	layer TEXT NOT NULL REFERENCES layers,"
	"	PRIMARY KEY (lease, position)"
	") STRICT, WITHOUT ROWID;"
	"CREATE INDEX lease_layers_layer ON lease_layers (layer);",

	/* What a lease's workers are: 1 processes, 2 containers. */
	"ALTER TABLE leases ADD COLUMN worker INTEGER NOT NULL DEFAULT 1"
	"	CHECK (worker BETWEEN 1 AND 2);",

	/* What an installer made of a layer's requirements. */
	"CREATE TABLE installs ("
	"	layer TEXT PRIMARY KEY REFERENCES layers ON DELETE CASCADE,"
	"	site TEXT NOT NULL,"
	"	scripts TEXT NOT NULL,"
	"	resolved TEXT NOT NULL"
	") STRICT, WITHOUT ROWID;",

	/* What is kept of whom, for having presented the bytes is what gives access; and what
	 * leases keep, under the names by which their workers ask for it. */
	"CREATE TABLE artifacts ("
	"	digest TEXT NOT NULL CHECK (digest != ''),"
	"	uid INTEGER NOT NULL,"
	"	bytes INTEGER NOT NULL,"
	"	durable INTEGER NOT NULL CHECK (durable IN (0, 1)),"
	"	created INTEGER NOT NULL,"
	"	used INTEGER NOT NULL,"
	"	PRIMARY KEY (digest, uid)"
	") STRICT, WITHOUT ROWID;"
	"CREATE TABLE lease_artifacts ("
	"	lease TEXT NOT NULL REFERENCES leases ON DELETE CASCADE,"
	"	name TEXT NOT NULL CHECK (name != ''),"
	"	digest TEXT NOT NULL,"
	"	uid INTEGER NOT NULL,"
	"	PRIMARY KEY (lease, name)"
	") STRICT, WITHOUT ROWID;"
	"CREATE INDEX lease_artifacts_artifact ON lease_artifacts (digest, uid);",

	/* What a retry has to answer again, wherever another search would lead by then. */
	"CREATE TABLE lease_interpreters ("
	"	lease TEXT PRIMARY KEY REFERENCES leases ON DELETE CASCADE,"
	"	path TEXT NOT NULL,"
	"	home TEXT NOT NULL"
	") STRICT, WITHOUT ROWID;",

	/* Of a layer's bytes, those that layers before it have, too. */
	"ALTER TABLE layers ADD COLUMN shared_bytes INTEGER NOT NULL DEFAULT 0;",

	/* A layer with a key stays beside the one that has come in its place, for as long as
	 * somebody leases it. */
	"ALTER TABLE layers ADD COLUMN superseded INTEGER NOT NULL DEFAULT 0"
	"	CHECK (superseded IN (0, 1));"
	"DROP INDEX layers_key;"
	"CREATE UNIQUE INDEX layers_key ON layers (key, owner)"
	"	WHERE superseded = 0 AND state != 3 AND key != '';"
	"CREATE INDEX layers_superseded ON layers (key, owner) WHERE superseded = 1;"
	"ALTER TABLE installs ADD COLUMN resolved_at INTEGER NOT NULL DEFAULT 0;"
	"UPDATE installs SET resolved_at = (SELECT published FROM layers WHERE id = layer);",

	/* With which process, too, a lease's holder is to end. */
	"ALTER TABLE leases ADD COLUMN guardian_pid INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE leases ADD COLUMN guardian_start INTEGER NOT NULL DEFAULT 0;",
};
