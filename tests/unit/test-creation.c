#include "daemon/core/creation.h"

#include <criterion/criterion.h>
#include <errno.h>

static struct {
	int starts, stops;
} work;

static struct creation *creation;

struct person {
	struct creation_waiter waiter;
	int answers, r;
	struct person *asks_again; /* joins a creation of its own from inside done() */
};

static struct person ann, bob;

static void start(void *data)
{
	work.starts++;
}

static void stop(void *data)
{
	work.stops++;
}

static const struct creation_work fake = { start, stop };

static void on_done(struct creation_waiter *waiter, const struct error *err)
{
	struct person *person = container_of(waiter, struct person, waiter);

	person->answers++;
	person->r = err ? err->r : 0;
	if (person->asks_again) {
		creation = creation_new(&fake, NULL);
		creation_join(creation, &person->asks_again->waiter);
	}
}

static void setup(void)
{
	creation = creation_new(&fake, NULL);
	ann.waiter.done = bob.waiter.done = on_done;
}

static void end(int r)
{
	struct error err = { .r = r };
	struct creation *over = creation;

	cr_assert(creation_finish(over, r == 0));
	creation_announce(over, r ? &err : NULL);
	creation_free(over);
}

TestSuite(creation, .init = setup);

Test(creation, the_first_starts_the_work_and_the_second_shares_it)
{
	creation_join(creation, &ann.waiter);
	creation_join(creation, &bob.waiter);
	cr_expect_eq(work.starts, 1);
	end(0);
	cr_expect_eq(ann.answers, 1);
	cr_expect_eq(bob.answers, 1);
	cr_expect_eq(bob.r, 0);
}

Test(creation, everybody_hears_of_the_failure)
{
	creation_join(creation, &ann.waiter);
	creation_join(creation, &bob.waiter);
	end(-EBADMSG);
	cr_expect_eq(ann.r, -EBADMSG);
	cr_expect_eq(bob.r, -EBADMSG);
}

Test(creation, one_leaving_does_not_stop_the_other)
{
	creation_join(creation, &ann.waiter);
	creation_join(creation, &bob.waiter);
	creation_leave(&ann.waiter);
	cr_expect_eq(work.stops, 0);
	end(0);
	cr_expect_eq(ann.answers, 0);
	cr_expect_eq(bob.answers, 1);
}

Test(creation, the_last_leaving_stops_the_work)
{
	creation_join(creation, &ann.waiter);
	creation_leave(&ann.waiter);
	cr_expect_eq(work.stops, 1);
	end(-ECANCELED);
	cr_expect_eq(ann.answers, 0);
}

Test(creation, leaving_twice_is_leaving_once)
{
	creation_join(creation, &ann.waiter);
	creation_leave(&ann.waiter);
	creation_leave(&ann.waiter);
	cr_expect_eq(work.stops, 1);
	end(-ECANCELED);
}

Test(creation, joining_while_stopping_begins_anew)
{
	creation_join(creation, &ann.waiter);
	creation_leave(&ann.waiter);
	creation_join(creation, &bob.waiter);
	cr_expect_not(creation_finish(creation, false));
	cr_expect_eq(work.starts, 2);
	cr_expect_eq(bob.answers, 0);
	end(0);
	cr_expect_eq(bob.answers, 1);
	cr_expect_eq(bob.r, 0);
}

Test(creation, joining_while_stopping_takes_what_went_well_all_the_same)
{
	creation_join(creation, &ann.waiter);
	creation_leave(&ann.waiter);
	creation_join(creation, &bob.waiter);
	end(0);
	cr_expect_eq(work.starts, 1);
	cr_expect_eq(bob.answers, 1);
	cr_expect_eq(bob.r, 0);
}

Test(creation, one_may_ask_again_from_inside_the_answer)
{
	ann.asks_again = &bob;
	creation_join(creation, &ann.waiter);
	end(0);
	cr_expect_eq(bob.answers, 0);
	end(0);
	cr_expect_eq(bob.answers, 1);
}

static void leave_the_other(struct creation_waiter *waiter, const struct error *err)
{
	ann.answers++;
	creation_leave(&bob.waiter);
}

Test(creation, one_may_make_the_other_leave_from_inside_the_answer)
{
	ann.waiter.done = leave_the_other;
	creation_join(creation, &ann.waiter);
	creation_join(creation, &bob.waiter);
	end(0);
	cr_expect_eq(ann.answers, 1);
	cr_expect_eq(bob.answers, 0);
}
