/*
 * The filter looks at socket(2) alone. Two ways round it are closed as well: io_uring makes
 * sockets without that call, and the calls of other architectures (32 bit programs) have
 * other numbers: libseccomp ends a program that makes them. A kernel without seccomp is a
 * failure: nobody is to believe that an installer was offline when it was not.
 */
#include "daemon/worker/offline.h"

#include <errno.h>
#include <seccomp.h>
#include <sys/socket.h>
#include "base/util.h"

static int add_rules(scmp_filter_ctx filter)
{
	const struct scmp_arg_cmp foreign = SCMP_A0_32(SCMP_CMP_NE, AF_UNIX);
	int r;

	r = seccomp_rule_add_array(filter, SCMP_ACT_ERRNO(EACCES), SCMP_SYS(socket), 1, &foreign);
	if (r == 0)
		r = seccomp_rule_add_array(
			filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(io_uring_setup), 0, NULL);
	return r;
}

int offline(void)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
	int r;

	if (!filter)
		return -ENOMEM;
	r = add_rules(filter);
	if (r == 0)
		r = seccomp_load(filter);
	seccomp_release(filter);
	return r;
}
