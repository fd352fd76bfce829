/*
 * What a hit costs in the store: the index's part and the lease's directory.
 *
 *	bench-store DIRECTORY [OTHER-LEASES]
 *
 * Prints microseconds per lease as median and 99th percentile. DIRECTORY should
 * be on the file system that is asked about; a fresh one is made in it.
 */
#include <sqlite3.h>
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "daemon/store/db.h"
#include "daemon/store/tree.h"

#define ROUNDS 5000
#define LAYERS 2
#define CHECKPOINT_PAGES 2000

static const char *const layers[LAYERS] = { "aaaaaaaa", "bbbbbbbb" };
static const char hash[SHA256_HEX_SIZE] =
	"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

struct bench {
	struct db *db;
	sqlite3 *checkpointer;
	bool wants_checkpoint;
	struct tree *tree;
	struct db_digest digests[LAYERS];
	struct error err;
	char ids[ROUNDS][LEASE_ID_LENGTH + 1];
	uint64_t us[ROUNDS];
};

static void check(struct bench *bench, int r)
{
	if (r == 0)
		return;
	fprintf(stderr, "%d: %s\n", r, bench->err.text);
	exit(1);
}

static void on_pages(int pages, void *data)
{
	struct bench *bench = data;

	bench->wants_checkpoint = pages > CHECKPOINT_PAGES;
}

/* What a worker does for the daemon. */
static void checkpoint(struct bench *bench)
{
	if (!bench->wants_checkpoint)
		return;
	/* A connection that has read nothing yet does not know that there is a log. */
	sqlite3_exec(bench->checkpointer, "SELECT 1 FROM sqlite_master", NULL, NULL, NULL);
	sqlite3_wal_checkpoint_v2(bench->checkpointer, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
	bench->wants_checkpoint = false;
}

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static void report(struct bench *bench, const char *what)
{
	qsort(bench->us, ROUNDS, sizeof(bench->us[0]), compare);
	printf("%-28s %6llu us   p99 %6llu us\n", what, (unsigned long long)bench->us[ROUNDS / 2],
		(unsigned long long)bench->us[ROUNDS * 99 / 100]);
}

static void add_layers(struct bench *bench)
{
	size_t i;

	for (i = 0; i < LAYERS; i++) {
		struct db_layer layer = { .owner = 1000, .kind = "archive", .artifact_bytes = 5 };
		struct db_digest *digest = &bench->digests[i];

		memcpy(layer.id, layers[i], sizeof(layer.id));
		snprintf(layer.key, sizeof(layer.key), "%064zu", i);
		memset(digest->sha256, 'a', SHA256_HEX_SIZE - 1);
		memset(digest->reader, 'b', SHA256_HEX_SIZE - 1);
		digest->file = (struct fs_identity){ 1, i + 1, 5, 6, 7 };
		check(bench, db_put_digest(bench->db, digest, 1, &bench->err));
		check(bench, db_add_layer(bench->db, &layer, &bench->err));
		check(bench, db_publish_layer(bench->db, &layer, 1, &bench->err));
	}
}

static void hit(struct bench *bench, const char *id, int64_t now)
{
	struct db_lease lease = {
		.uid = 1000,
		.owner = 1000,
		.request_id = "00000000-0000-0000-0000-",
		.label = "a Flink job with a name",
		.holder = DB_HOLDER_PROCESS,
		.pid = 12345,
		.boot_id = "00000000-0000-0000-0000-000000000000",
		.worker = DB_WORKER_PROCESS,
	};
	char sha256[SHA256_HEX_SIZE], key[SHA256_HEX_SIZE];
	struct db_layer layer;
	size_t i;

	for (i = 0; i < LAYERS; i++)
		check(bench,
			db_find_digest(bench->db, &bench->digests[i].file, bench->digests[i].reader,
				sha256, &bench->err));
	check(bench, db_begin(bench->db, &bench->err));
	for (i = 0; i < LAYERS; i++) {
		snprintf(key, sizeof(key), "%064zu", i);
		check(bench, db_find_layer_by_key(bench->db, key, 1000, &layer, &bench->err));
	}
	check(bench,
		db_use_environment(
			bench->db, hash, 1000, NULL, 0, layers, LAYERS, now, &bench->err));
	memcpy(lease.id, id, sizeof(lease.id));
	memcpy(lease.hash, hash, sizeof(lease.hash));
	strcat(lease.request_id, id);
	check(bench, db_add_lease(bench->db, &lease, layers, LAYERS, &bench->err));
	check(bench, db_commit(bench->db, &bench->err));
}

static void bench_index(struct bench *bench, uint64_t others)
{
	char id[LEASE_ID_LENGTH + 1];
	uint64_t begin, i;

	for (i = 0; i < others; i++) {
		timed_id(id, LEASE_ID_LENGTH, clock_unix_ms());
		hit(bench, id, (int64_t)i);
		checkpoint(bench);
	}
	for (i = 0; i < ROUNDS; i++) {
		begin = clock_now_us();
		hit(bench, bench->ids[i], (int64_t)i);
		bench->us[i] = clock_now_us() - begin;
		/* So that their number stays. */
		check(bench, db_delete_lease(bench->db, bench->ids[i], 1, &bench->err));
		checkpoint(bench);
	}
	report(bench, "index: a hit");
}

static void bench_tree(struct bench *bench, uid_t uid)
{
	const struct tree_link links[LAYERS] = { { "venv", "aaaaaaaa" }, { "model", "bbbbbbbb" } };
	struct identity owner = { .uid = uid, .gid = uid };
	uint64_t begin;
	size_t i;

	for (i = 0; i < ROUNDS; i++) {
		timed_id(bench->ids[i], LEASE_ID_LENGTH, clock_unix_ms());
		begin = clock_now_us();
		check(bench,
			tree_make_lease(
				bench->tree, bench->ids[i], &owner, links, LAYERS, &bench->err));
		bench->us[i] = clock_now_us() - begin;
	}
	report(bench, uid == geteuid() ? "tree: a lease of ours" : "tree: a lease of another");
}

int main(int argc, char **argv)
{
	_cleanup_free_ struct bench *bench = new0(struct bench);
	_cleanup_free_ char *state = NULL, *path = NULL;
	uint64_t others = 0;
	size_t i;

	if (argc < 2 || (argc > 2 && parse_u64(argv[2], &others)))
		return 2;
	state = text_format("%s/bench-%d", argv[1], (int)getpid());
	path = text_format("%s/index.db", state);
	check(bench, tree_open(state, &bench->tree, &bench->err));
	check(bench, db_open(path, on_pages, bench, &bench->db, &bench->err));
	if (sqlite3_open(path, &bench->checkpointer))
		return 1;
	for (i = 0; i < ROUNDS; i++)
		timed_id(bench->ids[i], LEASE_ID_LENGTH, clock_unix_ms());
	add_layers(bench);
	bench_index(bench, others);
	bench_tree(bench, geteuid());
	if (identity_may_change())
		bench_tree(bench, 65534);
	sqlite3_close(bench->checkpointer);
	db_close(bench->db);
	tree_close(bench->tree);
	return 0;
}
