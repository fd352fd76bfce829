#include "pair.h"

Test(grpc, a_unary_call_is_answered_and_delivered)
{
	_cleanup_(pair_freep) struct pair *pair = pair_new();
	struct outcome outcome = { 0 };

	ask(pair, "/t.T/Echo", "hello", &outcome);
	run(pair);
	cr_expect_eq(outcome.ends, 1);
	cr_expect_eq(outcome.code, GRPC_OK);
	cr_expect_eq(outcome.messages, 1);
	cr_expect_str_eq(outcome.text, "hello");
	cr_expect_eq(pair->delivered, 1);
	cr_expect_eq(pair->cancelled, 0);
	cr_expect_eq(grpc_count_calls(pair->server), 0);
	cr_expect_eq(grpc_count_calls(pair->client), 0);
	cr_expect_eq(grpc_get_queued(pair->server), 0);
}

Test(grpc, bytes_may_come_one_by_one)
{
	_cleanup_(pair_freep) struct pair *pair = pair_new();
	struct outcome outcome = { 0 };

	pair->chunk = 1;
	ask(pair, "/t.T/Echo", "hello", &outcome);
	run(pair);
	cr_expect_str_eq(outcome.text, "hello");
	cr_expect_eq(pair->half_closes, 0, "the call had ended by then");
	cr_expect_eq(pair->delivered, 1);
}

Test(grpc, an_empty_message_is_a_message)
{
	_cleanup_(pair_freep) struct pair *pair = pair_new();
	struct outcome outcome = { 0 };

	ask(pair, "/t.T/Echo", "", &outcome);
	run(pair);
	cr_expect_eq(outcome.code, GRPC_OK);
	cr_expect_eq(outcome.messages, 1);
	cr_expect_eq(outcome.bytes, 0);
}

Test(grpc, a_failure_carries_words_and_reason)
{
	_cleanup_(pair_freep) struct pair *pair = pair_new();
	struct outcome outcome = { 0 };

	ask(pair, "/t.T/Fail", "x", &outcome);
	run(pair);
	cr_expect_eq(outcome.code, GRPC_NOT_FOUND);
	cr_expect_str_eq(outcome.message, "no '100%' \xc3\xa4 here");
	cr_expect_str_eq(outcome.reason, "SOURCE_NOT_FOUND");
	cr_expect_eq(outcome.messages, 0);
	cr_expect_eq(pair->delivered, 1);
}

Test(grpc, a_method_that_nobody_takes_is_unimplemented)
{
	_cleanup_(pair_freep) struct pair *pair = pair_new();
	struct outcome outcome = { 0 };

	ask(pair, "/t.T/Nothing", "x", &outcome);
	run(pair);
	cr_expect_eq(pair->calls, 1);
	cr_expect_eq(outcome.code, GRPC_UNIMPLEMENTED);
	cr_expect_eq(grpc_count_calls(pair->server), 0);
}

Test(grpc, a_stream_of_answers_keeps_its_order_and_its_status)
{
	_cleanup_(pair_freep) struct pair *pair = pair_new();
	struct outcome outcome = { 0 };

	ask(pair, "/t.T/Many", "x", &outcome);
	run(pair);
	cr_expect_eq(outcome.messages, 1000);
	cr_expect_str_eq(outcome.first, "0");
	cr_expect_str_eq(outcome.text, "999");
	cr_expect_eq(outcome.code, GRPC_ABORTED);
	cr_expect_str_eq(outcome.message, "enough");
}

Test(grpc, a_stream_of_requests_is_heard_message_by_message)
{
	_cleanup_(pair_freep) struct pair *pair = pair_new();
	struct outcome outcome = { 0 };
	struct grpc_call *call = begin(pair, "/t.T/Count", GRPC_NO_TIMEOUT, &outcome);
	int i;

	pair->chunk = 100;
	for (i = 0; i < 500; i++)
		grpc_call_send(call, "0123456789", 10);
	run(pair);
	cr_expect_eq(pair->messages, 500);
	cr_expect_eq(outcome.ends, 0);
	grpc_call_half_close(call);
	run(pair);
	cr_expect_str_eq(outcome.text, "500");
	cr_expect_eq(outcome.code, GRPC_OK);
}

Test(grpc, a_hundred_calls_at_once_are_all_answered)
{
	_cleanup_(pair_freep) struct pair *pair = pair_new();
	struct outcome outcomes[100] = { 0 };
	char text[16];
	int i;

	pair->chunk = 777;
	for (i = 0; i < 100; i++) {
		snprintf(text, sizeof(text), "call %d", i);
		ask(pair, "/t.T/Echo", text, &outcomes[i]);
	}
	run(pair);
	for (i = 0; i < 100; i++) {
		snprintf(text, sizeof(text), "call %d", i);
		cr_expect_str_eq(outcomes[i].text, text);
		cr_expect_eq(outcomes[i].code, GRPC_OK);
	}
	cr_expect_eq(pair->delivered, 100);
}

Test(grpc, more_calls_than_the_server_allows_wait_for_their_turn)
{
	_cleanup_(pair_freep) struct pair *pair = pair_new();
	struct outcome outcomes[600] = { 0 };
	int i, refused = 0;

	/* The client has to hear of the limit first. */
	run(pair);
	for (i = 0; i < 600; i++)
		ask(pair, "/t.T/Echo", "x", &outcomes[i]);
	run(pair);
	for (i = 0; i < 600; i++)
		refused += outcomes[i].code != GRPC_OK || outcomes[i].ends != 1;
	cr_expect_eq(refused, 0);
	cr_expect_eq(pair->delivered, 600);
}

Test(grpc, ten_megabytes_pass_through_the_windows_both_ways)
{
	_cleanup_(pair_freep) struct pair *pair = pair_new();
	struct outcome outcome = { 0 }, answer = { 0 };
	size_t size = 10 << 20;
	struct grpc_call *call = begin(pair, "/t.T/Echo", GRPC_NO_TIMEOUT, &outcome);
	char *bytes = alloc0(size, 1);

	pair->chunk = 5000;
	grpc_call_send(call, bytes, size);
	free(bytes);
	grpc_call_half_close(call);
	run(pair);
	cr_expect_eq(pair->last_size, size);
	cr_expect_eq(outcome.bytes, size);
	cr_expect_eq(outcome.code, GRPC_OK);
	cr_expect_gt(pair->drained + 1, 0);

	ask(pair, "/t.T/Much", "x", &answer);
	run(pair);
	cr_expect_eq(answer.bytes, size);
	cr_expect_eq(answer.text[0], 'x');
	cr_expect_eq(grpc_get_queued(pair->server), 0);
}

Test(grpc, a_message_over_the_limit_is_refused_before_it_has_come)
{
	_cleanup_(pair_freep) struct pair *pair = pair_new();
	struct outcome outcome = { 0 };
	size_t size = (16 << 20) + 1;
	struct grpc_call *call = begin(pair, "/t.T/Echo", GRPC_NO_TIMEOUT, &outcome);
	char *bytes = alloc0(size, 1);

	grpc_call_send(call, bytes, size);
	free(bytes);
	grpc_call_half_close(call);
	run(pair);
	cr_expect_eq(outcome.ends, 1);
	cr_expect_eq(outcome.code, GRPC_RESOURCE_EXHAUSTED);
	cr_expect_eq(pair->messages, 0);
	cr_expect_eq(pair->delivered + pair->cancelled, 1);
	cr_expect_eq(grpc_count_calls(pair->server), 0);
}

Test(grpc, a_deadline_reaches_the_server)
{
	static const uint64_t cases[][2] = {
		{ 1, 1 },
		{ 99999999, 99999999 },
		{ 100000000, 100000000 },
		{ 123456789012, 123457000000 },
		{ GRPC_NO_TIMEOUT, GRPC_NO_TIMEOUT },
	};
	_cleanup_(pair_freep) struct pair *pair = pair_new();
	size_t i;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		struct outcome outcome = { 0 };

		grpc_call_half_close(begin(pair, "/t.T/Count", cases[i][0], &outcome));
		run(pair);
		cr_expect_eq(outcome.code, GRPC_OK);
		cr_expect_eq(pair->timeout_us, cases[i][1], "%zu: %llu", i,
			(unsigned long long)pair->timeout_us);
	}
}

Test(grpc, a_unary_method_wants_exactly_one_message)
{
	_cleanup_(pair_freep) struct pair *pair = pair_new();
	struct outcome none = { 0 }, two = { 0 };
	struct grpc_call *call;

	grpc_call_half_close(begin(pair, "/t.T/Echo", GRPC_NO_TIMEOUT, &none));
	call = begin(pair, "/t.T/Echo", GRPC_NO_TIMEOUT, &two);
	grpc_call_send(call, "a", 1);
	grpc_call_send(call, "b", 1);
	grpc_call_half_close(call);
	run(pair);
	cr_expect_eq(none.code, GRPC_INTERNAL);
	cr_expect_eq(two.code, GRPC_INTERNAL);
	cr_expect_eq(pair->messages, 0);
	cr_expect_eq(pair->delivered, 2);
}

Test(grpc, a_client_that_cancels_is_heard)
{
	_cleanup_(pair_freep) struct pair *pair = pair_new();
	struct outcome outcome = { 0 };
	struct grpc_call *call = ask(pair, "/t.T/Wait", "x", &outcome);

	run(pair);
	cr_expect_not_null(pair->waiting);
	grpc_call_cancel(call);
	cr_expect_eq(outcome.ends, 0, "not from inside");
	run(pair);
	cr_expect_eq(outcome.ends, 1);
	cr_expect_eq(outcome.code, GRPC_CANCELLED);
	cr_expect_eq(pair->cancelled, 1);
	cr_expect_eq(pair->delivered, 0);
	cr_expect_eq(grpc_count_calls(pair->server), 0);
}

Test(grpc, a_server_that_cancels_is_heard)
{
	_cleanup_(pair_freep) struct pair *pair = pair_new();
	struct outcome outcome = { 0 };

	ask(pair, "/t.T/Wait", "x", &outcome);
	run(pair);
	grpc_call_cancel(pair->waiting);
	run(pair);
	cr_expect_eq(outcome.code, GRPC_CANCELLED);
	cr_expect_eq(pair->cancelled, 1);
	cr_expect_eq(pair->delivered, 0);
}

Test(grpc, a_late_answer_asks_for_output_once)
{
	_cleanup_(pair_freep) struct pair *pair = pair_new();
	struct outcome outcome = { 0 };

	ask(pair, "/t.T/Wait", "x", &outcome);
	run(pair);
	cr_expect_eq(pair->outputs, 0, "whoever receives pulls afterwards");
	grpc_call_send(pair->waiting, "late", 4);
	grpc_call_end(pair->waiting, GRPC_OK, NULL, NULL);
	cr_expect_eq(pair->outputs, 1);
	cr_expect_eq(pair->delivered, 0);
	run(pair);
	cr_expect_str_eq(outcome.text, "late");
	cr_expect_eq(pair->delivered, 1);
}

Test(grpc, after_its_end_a_call_says_nothing_more)
{
	_cleanup_(pair_freep) struct pair *pair = pair_new();
	struct outcome outcome = { 0 };

	ask(pair, "/t.T/Wait", "x", &outcome);
	run(pair);
	grpc_call_end(pair->waiting, GRPC_DEADLINE_EXCEEDED, "too late", "DEADLINE");
	grpc_call_end(pair->waiting, GRPC_OK, NULL, NULL);
	grpc_call_send(pair->waiting, "x", 1);
	run(pair);
	cr_expect_eq(outcome.code, GRPC_DEADLINE_EXCEEDED);
	cr_expect_eq(outcome.messages, 0);
}

Test(grpc, an_answer_is_delivered_when_the_kernel_took_its_last_byte)
{
	_cleanup_(pair_freep) struct pair *pair = pair_new();
	struct outcome outcome = { 0 };
	const uint8_t *bytes;
	size_t n;

	run(pair);
	pair->is_stalled = true;
	ask(pair, "/t.T/Echo", "x", &outcome);
	run(pair);
	n = grpc_pull(pair->server, &bytes);
	grpc_taken(pair->server, n - 1);
	cr_expect_eq(pair->delivered, 0);
	n = grpc_pull(pair->server, &bytes);
	cr_expect_eq(n, 1);
	grpc_taken(pair->server, n);
	cr_expect_eq(pair->delivered, 1);
}

Test(grpc, a_reset_before_delivery_cancels)
{
	_cleanup_(pair_freep) struct pair *pair = pair_new();
	struct outcome outcome = { 0 };
	struct grpc_call *call;

	run(pair);
	pair->is_stalled = true;
	call = ask(pair, "/t.T/Echo", "x", &outcome);
	run(pair);
	grpc_call_cancel(call);
	run(pair);
	cr_expect_eq(pair->cancelled, 1);
	pair->is_stalled = false;
	run(pair);
	cr_expect_eq(pair->cancelled, 1);
	cr_expect_eq(pair->delivered, 0);
	cr_expect_eq(outcome.ends, 1);
}

Test(grpc, a_reset_after_delivery_changes_nothing)
{
	_cleanup_(pair_freep) struct pair *pair = pair_new();
	struct outcome outcome = { 0 };
	struct grpc_call *call;
	const uint8_t *bytes;

	run(pair);
	pair->is_stalled = true;
	call = ask(pair, "/t.T/Echo", "x", &outcome);
	run(pair);
	grpc_taken(pair->server, grpc_pull(pair->server, &bytes));
	cr_expect_eq(pair->delivered, 1);
	grpc_call_cancel(call);
	run(pair);
	cr_expect_eq(pair->delivered, 1);
	cr_expect_eq(pair->cancelled, 0);
}

Test(grpc, a_lost_connection_cancels_what_was_not_delivered)
{
	struct pair *pair = pair_new();
	struct outcome outcomes[3] = { 0 };

	ask(pair, "/t.T/Wait", "x", &outcomes[0]);
	run(pair);
	pair->is_stalled = true;
	ask(pair, "/t.T/Echo", "x", &outcomes[1]);
	ask(pair, "/t.T/Much", "x", &outcomes[2]);
	run(pair);
	pair->server = grpc_free(pair->server);
	cr_expect_eq(pair->cancelled, 3);
	cr_expect_eq(pair->delivered, 0);
	pair->client = grpc_free(pair->client);
	cr_expect_eq(outcomes[0].ends, 1);
	cr_expect_eq(outcomes[2].code, GRPC_UNAVAILABLE);
	free(pair);
}

Test(grpc, who_does_not_read_is_not_read_from)
{
	_cleanup_(pair_freep) struct pair *pair = pair_new();
	struct outcome outcomes[20] = { 0 };
	int i;

	run(pair);
	pair->is_stalled = true;
	for (i = 0; i < 20; i++)
		ask(pair, "/t.T/Many", "x", &outcomes[i]);
	cr_expect(grpc_wants_read(pair->server));
	run(pair);
	for (i = 0; i < 1000 && grpc_wants_read(pair->server); i++) {
		struct outcome *more = &outcomes[i % 20];

		ask(pair, "/t.T/Many", "x", more);
		run(pair);
	}
	cr_expect_not(grpc_wants_read(pair->server));
	cr_expect_lt(grpc_get_queued(pair->server), 8 << 20);
	pair->is_stalled = false;
	run(pair);
	cr_expect(grpc_wants_read(pair->server));
	cr_expect_eq(grpc_count_calls(pair->server), 0);
}

Test(grpc, a_held_call_stops_its_client_but_not_the_others)
{
	_cleanup_(pair_freep) struct pair *pair = pair_new();
	struct outcome held = { 0 }, other = { 0 };
	struct grpc_call *upload = begin(pair, "/t.T/Count", GRPC_NO_TIMEOUT, &held), *at_server;
	char *bytes = alloc0(1 << 20, 1);
	int i;

	run(pair);
	at_server = pair->last;
	grpc_call_hold(at_server, true);
	for (i = 0; i < 80; i++)
		grpc_call_send(upload, bytes, 100 << 10);
	free(bytes);
	run(pair);
	cr_expect_eq(pair->messages, 10, "a window's worth of 1 MiB");
	ask(pair, "/t.T/Much", "x", &other);
	run(pair);
	cr_expect_eq(other.bytes, 10 << 20);
	cr_expect_eq(pair->messages, 11);
	grpc_call_hold(at_server, false);
	run(pair);
	cr_expect_eq(pair->messages, 81);
	grpc_call_half_close(upload);
	run(pair);
	cr_expect_eq(held.code, GRPC_OK);
}

Test(grpc, shutting_down_lets_open_calls_end)
{
	_cleanup_(pair_freep) struct pair *pair = pair_new();
	struct outcome open = { 0 }, late = { 0 };

	ask(pair, "/t.T/Wait", "x", &open);
	run(pair);
	grpc_shutdown(pair->server);
	run(pair);
	cr_expect_null(begin(pair, "/t.T/Echo", GRPC_NO_TIMEOUT, &late));
	cr_expect_not(grpc_is_over(pair->server));
	grpc_call_end(pair->waiting, GRPC_OK, NULL, NULL);
	run(pair);
	cr_expect_eq(open.code, GRPC_OK);
	cr_expect(grpc_is_over(pair->server));
	cr_expect(grpc_is_over(pair->client));
}

Test(grpc, terminating_does_not_wait_for_an_answer)
{
	_cleanup_(pair_freep) struct pair *pair = pair_new();
	const uint8_t *bytes;
	size_t size;

	run(pair);
	grpc_shutdown(pair->server);
	while ((size = grpc_pull(pair->server, &bytes)))
		grpc_taken(pair->server, size);
	cr_expect_not(grpc_is_over(pair->server));
	grpc_terminate(pair->server);
	while ((size = grpc_pull(pair->server, &bytes)))
		grpc_taken(pair->server, size);
	cr_expect(grpc_is_over(pair->server));
}

Test(grpc, thousands_of_cancelled_calls_end_the_connection)
{
	_cleanup_(pair_freep) struct pair *pair = pair_new();
	struct outcome outcome = { 0 };
	struct grpc_call *call;
	int i;

	run(pair);
	for (i = 0; i < 2000; i++) {
		call = begin(pair, "/t.T/Count", GRPC_NO_TIMEOUT, &outcome);
		if (!call)
			break;
		grpc_call_send(call, "x", 1);
		run(pair);
		grpc_call_cancel(call);
		run(pair);
	}
	cr_expect_gt(i, 100);
	cr_expect_lt(i, 1000);
	cr_expect(grpc_is_over(pair->server));
}

Test(grpc, large_requests_that_do_not_end_have_a_limit_together)
{
	_cleanup_(pair_freep) struct pair *pair = pair_new();
	struct outcome outcomes[6] = { 0 };
	size_t size = 15 << 20;
	char *bytes = alloc0(size, 1);
	struct grpc_call *calls[6];
	int i;

	for (i = 0; i < 6; i++) {
		calls[i] = begin(pair, "/t.T/Echo", GRPC_NO_TIMEOUT, &outcomes[i]);
		grpc_call_send(calls[i], bytes, size);
		run(pair);
	}
	free(bytes);
	cr_expect_eq(outcomes[3].ends, 0);
	cr_expect_eq(outcomes[4].code, GRPC_RESOURCE_EXHAUSTED);
	cr_expect_eq(outcomes[5].code, GRPC_RESOURCE_EXHAUSTED);
	cr_expect_eq(pair->messages, 0);
	for (i = 0; i < 4; i++)
		grpc_call_half_close(calls[i]);
	run(pair);
	cr_expect_eq(outcomes[0].bytes, size);
	cr_expect_eq(outcomes[3].bytes, size);
	ask(pair, "/t.T/Echo", "again", &outcomes[5]);
	run(pair);
	cr_expect_str_eq(outcomes[5].text, "again");
}

Test(grpc, an_answer_over_the_clients_limit_is_its_failure)
{
	_cleanup_(pair_freep) struct pair *pair = pair_new();
	struct grpc_config config = { .max_message = 1 << 20 };
	struct outcome outcome = { 0 };

	grpc_free(pair->client);
	pair->client = grpc_client_new(&config, "/run/x.sock");
	ask(pair, "/t.T/Much", "x", &outcome);
	run(pair);
	cr_expect_eq(outcome.ends, 1);
	cr_expect_eq(outcome.code, GRPC_RESOURCE_EXHAUSTED);
	cr_expect_eq(outcome.messages, 0);
	cr_expect_eq(pair->cancelled, 1);
}

Test(grpc, calls_still_open_at_the_end_get_their_last_callback)
{
	struct pair *pair = pair_new();
	struct outcome outcomes[2] = { 0 };

	ask(pair, "/t.T/Wait", "x", &outcomes[0]);
	run(pair);
	grpc_call_cancel(ask(pair, "/t.T/Wait", "x", &outcomes[1]));
	pair->client = grpc_free(pair->client);
	cr_expect_eq(outcomes[0].code, GRPC_UNAVAILABLE);
	cr_expect_eq(outcomes[1].ends, 1);
	cr_expect_eq(outcomes[1].code, GRPC_CANCELLED);
	pair->server = grpc_free(pair->server);
	cr_expect_eq(pair->cancelled, 1);
	free(pair);
}
