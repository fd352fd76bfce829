/*
 * Hostile input meets decoders that have had their bugs. So that one more is worth
 * little, a worker has no capability by then (unless its job is to act as the client),
 * and writes beneath the one directory that it was given: by Landlock, which it cannot
 * undo, and which holds for the programs that it starts.
 *
 * Landlock's first version refuses every link between two directories, also inside the
 * tree; hard links in archives need the second.
 *
 * A file can only get a name in another directory where no more may be done to it than
 * where it has one. So what is to be linked from elsewhere may be written there, as far as
 * Landlock is concerned; that it is read-only is left to its mode. That is for us alone: the
 * programs that we start are confined once more, without it (confine_program()).
 */
#include "daemon/worker/confine.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/landlock.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#define CAP_BIT(cap) (UINT64_C(1) << (cap))
#define AS_OTHERS (CAP_BIT(CAP_SETUID) | CAP_BIT(CAP_SETGID))
#define AS_ROOT (CAP_BIT(CAP_DAC_READ_SEARCH) | CAP_BIT(CAP_DAC_OVERRIDE))

#define LANDLOCK_WANTED 2
#define LANDLOCK_WITH_TRUNCATE 3
#define LANDLOCK_TRUNCATE (UINT64_C(1) << 14) /* newer than some headers */
#define LANDLOCK_LINKS                                                                             \
	(LANDLOCK_ACCESS_FS_REFER | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_TRUNCATE)
#define LANDLOCK_WRITES                                                                            \
	(LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR |                           \
		LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_MAKE_CHAR |                    \
		LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_MAKE_REG |                        \
		LANDLOCK_ACCESS_FS_MAKE_SOCK | LANDLOCK_ACCESS_FS_MAKE_FIFO |                      \
		LANDLOCK_ACCESS_FS_MAKE_BLOCK | LANDLOCK_ACCESS_FS_MAKE_SYM |                      \
		LANDLOCK_ACCESS_FS_REFER)

/* What hostile input could make a decoder ask for. */
#define MEMORY_LIMIT (UINT64_C(64) << 30)

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

static int allow(int rules, int fd, uint64_t access)
{
	const struct landlock_path_beneath_attr beneath = {
		.allowed_access = access,
		.parent_fd = fd,
	};

	return syscall(SYS_landlock_add_rule, rules, LANDLOCK_RULE_PATH_BENEATH, &beneath, 0)
		? -errno
		: 0;
}

/* Interpreters get it as their standard error. */
static int allow_null(int rules)
{
	_cleanup_close_ int null = open("/dev/null", O_PATH | O_CLOEXEC);

	return null < 0 ? -errno : allow(rules, null, LANDLOCK_ACCESS_FS_WRITE_FILE);
}

static int allow_all(int rules, const struct confinement *confinement, uint64_t handled)
{
	size_t i;
	int r = 0;

	if (confinement->writes_fd >= 0)
		r = allow(rules, confinement->writes_fd, handled);
	for (i = 0; i < confinement->link_count && r == 0; i++)
		r = allow(rules, confinement->link_fds[i], handled & LANDLOCK_LINKS);
	return r ? r : allow_null(rules);
}

static int confine_writes(const struct confinement *confinement, struct error *err)
{
	long version = syscall(
		SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
	struct landlock_ruleset_attr handled = { .handled_access_fs = LANDLOCK_WRITES };
	_cleanup_close_ int rules = -1;
	int r = 0;

	if (version < LANDLOCK_WANTED)
		return 0;
	if (version >= LANDLOCK_WITH_TRUNCATE)
		handled.handled_access_fs |= LANDLOCK_TRUNCATE;
	rules = (int)syscall(SYS_landlock_create_ruleset, &handled, sizeof(handled), 0);
	if (rules < 0)
		r = -errno;
	if (r == 0)
		r = allow_all(rules, confinement, handled.handled_access_fs);
	if (r == 0 && syscall(SYS_landlock_restrict_self, rules, 0))
		r = -errno;
	return r ? fail_errno(err, r, NULL, "cannot give up writing elsewhere") : 0;
}

int confine_program(int writes_fd, struct error *err)
{
	const struct confinement confinement = { .writes_fd = writes_fd };

	return confine_writes(&confinement, err);
}

int confine(const struct confinement *confinement, struct error *err)
{
	const struct identity *as = confinement->acts_as;
	const struct rlimit memory = {
		MEMORY_LIMIT + confinement->mapped,
		MEMORY_LIMIT + confinement->mapped,
	};
	uint64_t keep = 0;
	int r = 0;

	if (CONFINE_MEMORY && setrlimit(RLIMIT_AS, &memory) && errno != EPERM)
		return fail_errno(err, -errno, NULL, "cannot set limits");
	if (!confinement->writes_anywhere)
		r = confine_writes(confinement, err);
	if (r)
		return r;
	if (as || confinement->acts_as_others)
		keep = AS_OTHERS | (as && as->uid == 0 ? AS_ROOT : 0);
	if (confinement->gives_away)
		keep |= CAP_BIT(CAP_CHOWN);
	return keep ? identity_keep(keep, err) : identity_drop(NULL, err);
}
