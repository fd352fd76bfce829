/* --guardian: of a holder that is a process, which one is not an option of all verbs. */
#include <errno.h>
#include "base/util.h"
#include "proto/request-internal.h"

int request_take_guardian(void *data, const char *value, struct error *err)
{
	struct request *request = data;
	uint64_t pid;

	if (parse_u64(value, &pid) || !pid || pid > INT32_MAX)
		return fail(
			err, -EINVAL, NULL, "'--guardian %s': not the number of a process", value);
	request_begin(request);
	request->process.guardian_pid = (int32_t)pid;
	return 0;
}

void request_set_guardian(struct request *request, int32_t pid)
{
	request_begin(request);
	request->process.guardian_pid = pid;
}
