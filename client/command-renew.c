#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include "client/command.h"
#include "client/duration.h"
#include "client/format.h"
#include "client/json-output.h"
#include "client/session.h"

#define DEFAULT_TTL_MS 3600000

struct renew {
	uint64_t ttl_ms;
};

static int take_ttl(void *data, const char *value, struct error *err)
{
	struct renew *renew = data;

	return duration_parse_ttl(value, &renew->ttl_ms, err);
}

static const struct argument arguments[] = {
	{ "ttl", 0, "DURATION", "from now; default: 1h", take_ttl },
	{ 0 },
};

static int run(struct session *session, void *data)
{
	const struct renew *renew = data;
	uint64_t ttl_ms = renew->ttl_ms ? renew->ttl_ms : DEFAULT_TTL_MS;
	const char *id = session->words[0];
	_cleanup_free_ char *end = NULL;
	struct pyenvd_error error;
	int64_t expires_unix_ms;

	if (pyenvd_renew_lease(
		    session->client, id, (uint32_t)(ttl_ms / 1000), &expires_unix_ms, &error))
		return session_fail(session, &error);
	end = format_time(expires_unix_ms);
	if (session->is_json)
		json_output_print(json_pack("{s:s,s:I}", "lease_id", id, "expires_unix_ms",
					  (json_int_t)expires_unix_ms),
			stdout);
	else
		printf("%s: until %s\n", id, end);
	return EXIT_DONE;
}

const struct command command_renew = {
	.name = "renew",
	.summary = "Extend a lease that has a time to live",
	.words = "LEASE",
	.arguments = { arguments },
	.data_size = sizeof(struct renew),
	.min_words = 1,
	.max_words = 1,
	.run = run,
};
