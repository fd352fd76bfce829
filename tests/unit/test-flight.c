#include "daemon/core/flight.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <event2/event.h>
#include <signal.h>

static struct event_base *base;
static struct core core;
static struct flights flights;

/* An owner of flights. */
struct trip {
	struct flight flight;
	int submits, refusal;
	bool *is_over;
};

struct person {
	struct creation_waiter waiter;
	int answers;
	struct error err;
	bool asks_again; /* from inside done() */
	struct flight *found; /* by then */
};

static struct person ann, bob;

static void on_over(struct flight *flight)
{
	struct trip *trip = container_of(flight, struct trip, flight);

	*trip->is_over = true;
	flight_deinit(flight);
	free(trip);
}

static void on_done(
	struct job *job, int r, const struct job_result *result, const struct error *err)
{
	flight_end(container_of(job, struct flight, job), r ? err : NULL);
}

static int submit(struct flight *flight, struct error *err)
{
	struct trip *trip = container_of(flight, struct trip, flight);

	trip->submits++;
	return trip->refusal ? fail(err, trip->refusal, NULL, "not today") : 0;
}

static void on_told(struct creation_waiter *waiter, const struct error *err)
{
	struct person *person = container_of(waiter, struct person, waiter);

	person->answers++;
	if (err)
		person->err = *err;
	if (person->asks_again)
		person->found = flights_find(&flights, "rome");
}

static struct trip *trip_new(const char *key, bool *is_over)
{
	static const struct peer peer = { .identity = { .uid = 7, .gid = 8 } };
	struct trip *trip = new0(struct trip);

	flight_init(&trip->flight, &flights, key, &peer);
	trip->flight.submit = submit;
	trip->flight.over = on_over;
	trip->flight.job = (struct job){
		.kind = JOB_DIGEST,
		.peer = &trip->flight.identity,
		.digest = { .path = "/answer" },
		.done = on_done,
	};
	trip->is_over = is_over;
	*is_over = false;
	return trip;
}

static void setup(void)
{
	base = event_base_new();
	core.watch = watch_new(base);
	flights_init(&flights, &core);
	ann.waiter.done = bob.waiter.done = on_told;
}

TestSuite(flight, .init = setup);

Test(flight, who_asks_for_the_same_finds_it_until_it_ends)
{
	bool is_over;
	struct trip *trip = trip_new("rome", &is_over);

	cr_expect_eq(flights_find(&flights, "rome"), &trip->flight);
	cr_expect_null(flights_find(&flights, "oslo"));
	creation_join(trip->flight.creation, &ann.waiter);
	creation_join(trip->flight.creation, &bob.waiter);
	cr_expect_eq(trip->submits, 1);
	flight_end(&trip->flight, NULL);
	cr_expect(is_over);
	cr_expect_eq(ann.answers, 1);
	cr_expect_eq(bob.answers, 1);
	cr_expect_eq(bob.err.r, 0);
	cr_expect_null(flights_find(&flights, "rome"));
	flights_deinit(&flights);
}

Test(flight, it_keeps_what_it_was_given)
{
	bool is_over;
	char key[] = "rome";
	struct trip *trip = trip_new(key, &is_over);

	key[0] = 'h';
	cr_expect_str_eq(trip->flight.key, "rome");
	cr_expect_eq(trip->flight.identity.uid, 7);
	cr_expect_eq(trip->flight.begun, 0);
	creation_join(trip->flight.creation, &ann.waiter);
	cr_expect_gt(trip->flight.begun, 0);
	flight_end(&trip->flight, NULL);
}

Test(flight, a_job_that_is_not_taken_fails_but_not_from_inside_joining)
{
	bool is_over;
	struct trip *trip = trip_new("rome", &is_over);

	trip->refusal = -EAGAIN;
	creation_join(trip->flight.creation, &ann.waiter);
	cr_expect_eq(ann.answers, 0);
	creation_join(trip->flight.creation, &bob.waiter);
	event_base_dispatch(base);
	cr_expect(is_over);
	cr_expect_eq(ann.answers, 1);
	cr_expect_eq(bob.answers, 1);
	cr_expect_eq(bob.err.r, -EAGAIN);
	cr_expect_str_eq(bob.err.text, "not today");
}

Test(flight, who_asks_again_when_told_does_not_find_what_has_failed)
{
	const struct error err = { .r = -EIO };
	bool is_over;
	struct trip *trip = trip_new("rome", &is_over);

	ann.asks_again = true;
	ann.found = &trip->flight;
	creation_join(trip->flight.creation, &ann.waiter);
	flight_end(&trip->flight, &err);
	cr_expect_eq(ann.err.r, -EIO);
	cr_expect_null(ann.found);
}

Test(flight, it_is_begun_anew_for_who_joins_while_it_is_stopped)
{
	const struct error err = { .r = -ECANCELED };
	bool is_over;
	struct trip *trip = trip_new("rome", &is_over);

	creation_join(trip->flight.creation, &ann.waiter);
	creation_leave(&ann.waiter);
	creation_join(trip->flight.creation, &bob.waiter);
	flight_end(&trip->flight, &err);
	cr_expect_not(is_over);
	cr_expect_eq(trip->submits, 2);
	cr_expect_eq(bob.answers, 0);
	cr_expect_eq(flights_find(&flights, "rome"), &trip->flight);
	flight_end(&trip->flight, NULL);
	cr_expect(is_over);
	cr_expect_eq(bob.answers, 1);
	cr_expect_eq(bob.err.r, 0);
}

static void let_pool_do_it(uint32_t queue)
{
	const struct pool_config config = {
		.program = getenv("FAKE_WORKER"),
		.heavy = 1,
		.queue = queue,
		.open_timeout_ms = 60000,
	};
	bool is_over;
	struct trip *trip = trip_new("rome", &is_over);

	cr_assert_not_null(config.program);
	signal(SIGPIPE, SIG_IGN);
	core.pool = pool_new(base, &config);
	trip->flight.submit = NULL;
	creation_join(trip->flight.creation, &ann.waiter);
	event_base_dispatch(base);
	cr_expect(is_over);
	cr_expect_eq(ann.answers, 1);
	pool_free(core.pool);
}

Test(flight, the_pool_does_its_job)
{
	let_pool_do_it(1);
	cr_expect_eq(ann.err.r, 0);
}

Test(flight, a_pool_that_is_full_fails_it)
{
	let_pool_do_it(0);
	cr_expect_eq(ann.err.r, -EAGAIN);
}
