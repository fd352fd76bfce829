#include "daemon/jobs/feed.h"

#include <criterion/criterion.h>
#include <event2/event.h>
#include <unistd.h>

#define SIZE (5 << 20) /* more than any pipe takes */

static struct event_base *base;
static struct watch *watch;
static struct feed feed;
static int out = -1, drained;
static uint8_t *bytes, *back;
static size_t came;

static void on_drained(struct feed *which)
{
	cr_expect_not(feed_is_full(which));
	drained++;
}

static void set_up(void)
{
	struct error err;
	size_t i;

	base = event_base_new();
	watch = watch_new(base);
	feed = (struct feed){ .drained = on_drained };
	cr_assert_eq(feed_open(&feed, watch, &out, &err), 0, "%s", err.text);
	bytes = alloc0(1, SIZE);
	back = alloc0(1, SIZE);
	for (i = 0; i < SIZE; i++)
		bytes[i] = (uint8_t)(i * 7 / 5);
}

static void tear_down(void)
{
	feed_close(&feed);
	close(out);
	watch_free(watch);
	event_base_free(base);
	free(bytes);
	free(back);
}

TestSuite(feed, .init = set_up, .fini = tear_down);

static void take(size_t size)
{
	ssize_t n = read(out, back + came, size);

	cr_assert_gt(n, 0);
	came += (size_t)n;
}

Test(feed, what_fits_goes_at_once)
{
	feed_add(&feed, bytes, 10);
	cr_expect_not(feed_is_full(&feed));
	take(SIZE);
	cr_expect_eq(came, 10);
	cr_expect_arr_eq(back, bytes, 10);
	cr_expect_eq(event_base_loop(base, EVLOOP_NONBLOCK), 1, "nothing is waited for");
	cr_expect_eq(drained, 0);
}

Test(feed, what_does_not_fit_is_kept_in_order_and_told_when_it_went)
{
	feed_add(&feed, bytes, SIZE - 3);
	cr_assert(feed_is_full(&feed));
	feed_add(&feed, bytes + SIZE - 3, 3);
	while (came < SIZE) {
		take(100000);
		event_base_loop(base, EVLOOP_NONBLOCK);
	}
	cr_expect_eq(drained, 1);
	cr_expect_not(feed_is_full(&feed));
	cr_expect_arr_eq(back, bytes, SIZE);
}

Test(feed, closing_forgets_what_is_kept)
{
	feed_add(&feed, bytes, SIZE);
	feed_close(&feed);
	cr_expect_not(feed_is_full(&feed));
	event_base_loop(base, EVLOOP_NONBLOCK);
	cr_expect_eq(drained, 0);
	feed_close(&feed);
}
