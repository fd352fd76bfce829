#include "daemon/core/collect.h"

#include <criterion/criterion.h>

static struct db_layer rows[4];
static struct db_artifact artifacts[2];
static struct collect_idle idle;
static struct pins pins, artifact_pins;

/* Layers a, b, c, d: of 10 bytes each, last used at 1, 2, 3, 4. No artifacts, unless
 * add_artifacts() adds y and z, the same at 2 and 5. */
static void setup(void)
{
	size_t i;

	for (i = 0; i < 4; i++) {
		rows[i] = (struct db_layer){ .bytes = 10, .used = (int64_t)i + 1 };
		rows[i].id[0] = (char)('a' + i);
	}
	idle = (struct collect_idle){ .layers = { rows, 4 } };
}

static void add_artifacts(void)
{
	size_t i;

	for (i = 0; i < 2; i++) {
		artifacts[i] = (struct db_artifact){ .uid = 7, .bytes = 10, .used = i ? 5 : 2 };
		artifacts[i].digest[0] = (char)('y' + i);
	}
	idle.artifacts = (struct db_artifacts){ artifacts, 2 };
}

TestSuite(collect, .init = setup);

static size_t choose(uint64_t total, uint64_t max_bytes, int64_t used_before)
{
	struct collect_limits limits = { max_bytes, used_before };

	collect_choose(&idle, &pins, &artifact_pins, total, &limits);
	return idle.layer_count;
}

Test(collect, nothing_goes_below_the_limit)
{
	cr_expect_eq(choose(40, 40, 0), 0);
}

Test(collect, the_least_recently_used_go_until_the_limit_is_kept)
{
	cr_assert_eq(choose(40, 25, 0), 2);
	cr_expect_str_eq(rows[0].id, "a");
	cr_expect_str_eq(rows[1].id, "b");
}

Test(collect, without_a_limit_all_that_is_idle_goes)
{
	cr_expect_eq(choose(1000, 0, 0), 4);
}

Test(collect, what_was_used_lately_stays)
{
	cr_assert_eq(choose(40, 0, 3), 2);
	cr_expect_str_eq(rows[1].id, "b");
}

Test(collect, what_is_pinned_stays)
{
	pins_add(&pins, "a");
	cr_assert_eq(choose(40, 25, 0), 2);
	cr_expect_str_eq(rows[0].id, "b");
	cr_expect_str_eq(rows[1].id, "c");
	pins_remove(&pins, "a");
	cr_expect_not(pins_has(&pins, "a"));
}

Test(collect, a_pin_is_counted)
{
	pins_add(&pins, "a");
	pins_add(&pins, "a");
	pins_remove(&pins, "a");
	cr_expect(pins_has(&pins, "a"));
}

Test(collect, what_is_leased_beyond_the_limit_is_not_thrashed)
{
	/* 100 bytes are leased: even dropping all that is idle does not reach 50. */
	cr_expect_eq(choose(140, 50, 0), 4);
}

Test(collect, artifacts_go_among_layers_by_their_last_use)
{
	add_artifacts();
	/* a, then b and y of the same time, then c. */
	cr_expect_eq(choose(60, 30, 0), 2);
	cr_assert_eq(idle.artifact_count, 1);
	cr_expect_eq(artifacts[0].digest[0], 'y');
	setup();
	add_artifacts();
	cr_expect_eq(choose(60, 0, 0), 4);
	cr_expect_eq(idle.artifact_count, 2);
}

Test(collect, an_artifact_that_is_pinned_or_was_used_lately_stays)
{
	add_artifacts();
	pins_add(&artifact_pins, "y-7");
	choose(60, 0, 0);
	cr_assert_eq(idle.artifact_count, 1);
	cr_expect_eq(artifacts[0].digest[0], 'z');
	pins_remove(&artifact_pins, "y-7");
	setup();
	add_artifacts();
	cr_expect_eq(choose(60, 0, 3), 2);
	cr_assert_eq(idle.artifact_count, 1);
	cr_expect_eq(artifacts[0].digest[0], 'y');
}
