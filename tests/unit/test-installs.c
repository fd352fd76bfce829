/* Layers of requirements in the index. */
#include <criterion/criterion.h>
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
	struct db_install result = { (char *)site, scripts, resolved };
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
