#include "daemon/worker/confine.h"

#include <errno.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include "base/identity.h"

int confine_limits(struct error *err)
{
	const struct rlimit none = { 0, 0 };
	struct rlimit files;

	/* A core would hold what others' archives and environments contain. */
	if (setrlimit(RLIMIT_CORE, &none) || getrlimit(RLIMIT_NOFILE, &files))
		return fail_errno(err, -errno, NULL, "cannot set limits");
	files.rlim_cur = files.rlim_max < 65536 ? files.rlim_max : 65536;
	if (setrlimit(RLIMIT_NOFILE, &files) || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		return fail_errno(err, -errno, NULL, "cannot set limits");
	return 0;
}

int confine(struct error *err)
{
	/* What hostile input could make a decoder ask for; mapped sources count too. */
	const struct rlimit memory = { UINT64_C(64) << 30, UINT64_C(64) << 30 };

	if (CONFINE_MEMORY && setrlimit(RLIMIT_AS, &memory) && errno != EPERM)
		return fail_errno(err, -errno, NULL, "cannot set limits");
	return identity_drop(NULL, err);
}
