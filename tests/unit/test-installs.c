/* Layers of requirements in the index. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include "daemon/store/db.h"
#include "tests/support/scratch.h"

#define SITE "lib/python3.11/site-packages"

static char *scratch, *path;
static struct db *db;
static struct error err;

static void set_up(void)
{
	scratch = scratch_make();
	path = text_format("%s/index.db", scratch);
	cr_assert_eq(db_open(path, NULL, NULL, &db, &err), 0, "%s", err.text);
}

static void tear_down(void)
{
	db_close(db);
	free(path);
	scratch_remove(scratch);
}

TestSuite(installs, .init = set_up, .fini = tear_down);

static void install(const char *id, const char *site, int64_t owner, int64_t used)
{
	char scripts[] = "bin", resolved[] = "alpha 1.0\n";
	struct db_install result = { (char *)site, scripts, resolved, used };
	struct db_layer layer = { .owner = owner, .kind = "requirements", .created = used };

	snprintf(layer.id, sizeof(layer.id), "%s", id);
	snprintf(layer.key, sizeof(layer.key), "key-%s", id);
	cr_assert_eq(db_add_layer(db, &layer, &err), 0, "%s", err.text);
	cr_assert_eq(db_publish_layer(db, &layer, used, &err), 0, "%s", err.text);
	cr_assert_eq(db_put_install(db, id, &result, &err), 0, "%s", err.text);
}

static void expect_siblings(const char *const *ids, size_t count)
{
	struct db_ids got = { 0 };
	size_t i;

	cr_assert_eq(db_list_siblings(db, 1000, "python3.11/", 3, &got, &err), 0, "%s", err.text);
	cr_assert_eq(got.count, count);
	for (i = 0; i < count; i++)
		cr_expect_str_eq(got.rows[i], ids[i]);
	free(got.rows);
}

Test(installs, siblings_are_those_of_the_same_owner_the_likeliest_first)
{
	const char *const wanted[] = { "newer", "older", "other-py" };

	expect_siblings(NULL, 0);
	install("older", SITE, 1000, 10);
	install("other-py", "lib/python3.1/site-packages", 1000, 40);
	install("oldest", "lib/python3.12/site-packages", 1000, 5);
	install("theirs", SITE, 1001, 50);
	install("shared", SITE, DB_SHARED, 50);
	install("newer", SITE, 1000, 20);
	expect_siblings(wanted, 3);
}

Test(installs, siblings_are_ready_and_have_requirements)
{
	const char *const wanted[] = { "ready" };
	struct db_layer archive = { .id = "archive", .key = "k", .owner = 1000, .kind = "archive" };

	install("ready", SITE, 1000, 1);
	install("gone", SITE, 1000, 2);
	cr_assert_eq(db_condemn_layer(db, "gone", &err), 0);
	cr_assert_eq(db_add_layer(db, &archive, &err), 0);
	cr_assert_eq(db_publish_layer(db, &archive, 3, &err), 0);
	expect_siblings(wanted, 1);
}

/* One that is to take over the key of "old". */
static void prepare(const char *id)
{
	struct db_layer layer = { .owner = 1000, .kind = "requirements", .created = 20 };

	snprintf(layer.id, sizeof(layer.id), "%s", id);
	cr_assert_eq(db_add_layer(db, &layer, &err), 0, "%s", err.text);
	cr_assert_eq(db_supersede_layer(db, "key-old", 1000, id, &err), 0, "%s", err.text);
	cr_assert_eq(db_publish_layer(db, &layer, 20, &err), 0, "%s", err.text);
}

static const char *ready(void)
{
	static struct db_layer found;

	return db_find_layer_by_key(db, "key-old", 1000, &found, &err) ? "none" : found.id;
}

static size_t count_superseded(void)
{
	struct db_layers list = { 0 };

	cr_assert_eq(db_list_superseded_layers(db, &list, &err), 0, "%s", err.text);
	free(list.rows);
	return list.count;
}

Test(installs, one_layer_takes_over_the_key_of_another)
{
	struct db_install got = { 0 };
	struct db_layer old;

	install("old", SITE, 1000, 10);
	cr_assert_eq(db_find_install(db, "old", &got, &err), 0);
	cr_expect_eq(got.resolved_at, 10);
	db_install_deinit(&got);
	prepare("new");
	cr_expect_str_eq(ready(), "new");
	cr_assert_eq(db_find_layer(db, "old", &old, &err), 0);
	cr_expect(old.superseded);
	cr_expect_str_eq(old.key, "key-old");
	prepare("newest");
	cr_expect_str_eq(ready(), "newest");
	cr_expect_eq(count_superseded(), 2);
	cr_assert_eq(db_condemn_layer(db, "newest", &err), 0);
	cr_expect_str_eq(ready(), "none");
	cr_expect_eq(db_supersede_layer(db, "key-old", 1000, "old", &err), -EINVAL);
}

static const char *layer_of(const char *hash)
{
	static char layer[LEASE_ID_LENGTH + 1];
	struct db_ids ids = { 0 };

	cr_assert_eq(db_list_environment_layers(db, hash, DB_SHARED, &ids, &err), 0);
	snprintf(layer, sizeof(layer), "%s", ids.count ? ids.rows[0] : "none");
	free(ids.rows);
	return layer;
}

Test(installs, environments_move_on_when_the_superseded_layer_goes)
{
	const char *const old[] = { "old" }, *const new[] = { "new" };
	const char *hash = scratch_hash("e");

	install("old", SITE, 1000, 10);
	cr_assert_eq(scratch_use_environment(db, hash, old, 1, 11, &err), 0);
	cr_assert_eq(scratch_add_lease(db, "lease-1", hash, "", old, 1, &err), 0);
	prepare("new");
	cr_expect_eq(count_superseded(), 0, "it is leased");
	cr_expect_eq(db_condemn_layer(db, "old", &err), -EBUSY);
	cr_assert_eq(scratch_use_environment(db, hash, new, 1, 12, &err), 0);
	cr_assert_eq(scratch_add_lease(db, "lease-2", hash, "", new, 1, &err), 0);
	cr_assert_eq(db_delete_lease(db, "lease-1", 13, &err), 0);
	cr_expect_eq(count_superseded(), 1);
	cr_assert_eq(db_condemn_layer(db, "old", &err), 0, "%s", err.text);
	cr_expect_str_eq(layer_of(hash), "new");
	cr_expect_eq(db_condemn_layer(db, "new", &err), -EBUSY);
	cr_assert_eq(db_delete_lease(db, "lease-2", 14, &err), 0);
	cr_assert_eq(db_condemn_layer(db, "new", &err), 0);
	cr_expect_str_eq(layer_of(hash), "none");
}

Test(installs, the_layer_that_came_last_can_go_first)
{
	const char *const old[] = { "old" };
	const char *hash = scratch_hash("e");

	install("old", SITE, 1000, 10);
	cr_assert_eq(scratch_use_environment(db, hash, old, 1, 11, &err), 0);
	cr_assert_eq(scratch_add_lease(db, "lease-1", hash, "", old, 1, &err), 0);
	prepare("new");
	cr_assert_eq(db_condemn_layer(db, "new", &err), 0, "%s", err.text);
	cr_assert_eq(db_delete_lease(db, "lease-1", 13, &err), 0);
	cr_assert_eq(db_condemn_layer(db, "old", &err), 0, "%s", err.text);
	cr_expect_str_eq(layer_of(hash), "none");
}

Test(installs, superseded_layers_are_collected_first)
{
	struct db_layers list = { 0 };

	install("old", SITE, 1000, 30);
	install("other", SITE, 1000, 10);
	prepare("new");
	cr_assert_eq(db_list_idle_layers(db, &list, &err), 0);
	cr_assert_eq(list.count, 3);
	cr_expect_str_eq(list.rows[0].id, "old");
	cr_expect_str_eq(list.rows[1].id, "other");
	free(list.rows);
}
