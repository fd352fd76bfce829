/*
 * Raw system calls on purpose: glibc's setgroups() and friends change all
 * threads, and libcap would be a library for two calls.
 *
 * setfsuid() and setfsgid() report nothing; asking for -1 returns the identity in
 * force, which is how we know that they worked. The kernel raises and lowers file
 * capabilities by itself only when fsuid changes from or to 0; we set them
 * explicitly both ways, so that what is in force never depends on who came before.
 */
#include "base/identity.h"

#include <errno.h>
#include <linux/capability.h>
#include <stdint.h>
#include <sys/fsuid.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define CAP_BIT(cap) (UINT64_C(1) << (cap))
#define READ_ALL (CAP_BIT(CAP_DAC_READ_SEARCH) | CAP_BIT(CAP_DAC_OVERRIDE))

struct capabilities {
	uint64_t effective, permitted, inheritable;
};

/* Who we are when we act as ourselves, filled at the first identity_assume(); and who
 * we are now. A client is looked after several times a call, so nothing is asked of
 * the kernel, or set, that is so already. */
static struct identity self;
static struct capabilities self_capabilities, now_capabilities;
static bool self_known, assumed, groups_differ, is_root;
/* The kernel has changed our capabilities since we set them. */
static bool are_touched;

static int capabilities_get(struct capabilities *ret)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2];

	if (syscall(SYS_capget, &header, data))
		return -errno;
	*ret = (struct capabilities){
		.effective = data[0].effective | (uint64_t)data[1].effective << 32,
		.permitted = data[0].permitted | (uint64_t)data[1].permitted << 32,
		.inheritable = data[0].inheritable | (uint64_t)data[1].inheritable << 32,
	};
	return 0;
}

static int capabilities_set(const struct capabilities *c)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2] = {
		{ (uint32_t)c->effective, (uint32_t)c->permitted, (uint32_t)c->inheritable },
		{ (uint32_t)(c->effective >> 32), (uint32_t)(c->permitted >> 32),
			(uint32_t)(c->inheritable >> 32) },
	};

	return syscall(SYS_capset, &header, data) ? -errno : 0;
}

void identity_deinit(struct identity *identity)
{
	free(identity->groups);
	*identity = (struct identity){ 0 };
}

void identity_copy(struct identity *to, const struct identity *from)
{
	*to = *from;
	to->groups = new0_array(gid_t, from->group_count);
	if (from->group_count)
		memcpy(to->groups, from->groups, from->group_count * sizeof(gid_t));
}

static bool have_equal_groups(const struct identity *a, const struct identity *b)
{
	return a->group_count == b->group_count &&
		(a->group_count == 0 ||
			memcmp(a->groups, b->groups, a->group_count * sizeof(gid_t)) == 0);
}

bool identity_equal(const struct identity *a, const struct identity *b)
{
	return a->uid == b->uid && a->gid == b->gid && have_equal_groups(a, b);
}

static int learn_self(struct error *err)
{
	int n, r;

	if (self_known)
		return 0;
	r = capabilities_get(&self_capabilities);
	if (r)
		return fail_errno(err, r, NULL, "cannot read my capabilities");
	n = getgroups(0, NULL);
	if (n < 0)
		return fail_errno(err, -errno, NULL, "cannot read my groups");
	self = (struct identity){ .uid = geteuid(), .gid = getegid(), .group_count = (size_t)n };
	self.groups = new0_array(gid_t, self.group_count);
	if (getgroups(n, self.groups) != n)
		return fail_errno(err, -EAGAIN, NULL, "my groups changed while I read them");
	now_capabilities = self_capabilities;
	is_root = self.uid == 0;
	self_known = true;
	return 0;
}

static bool may_change(const struct capabilities *c)
{
	uint64_t wanted = CAP_BIT(CAP_SETUID) | CAP_BIT(CAP_SETGID);

	return (c->effective & wanted) == wanted;
}

bool identity_may_change(void)
{
	struct capabilities c;

	return capabilities_get(&c) == 0 && may_change(&c);
}

static int switch_capabilities(const struct capabilities *to)
{
	int r;

	if (to->effective == now_capabilities.effective && !are_touched)
		return 0;
	r = capabilities_set(to);
	if (r == 0) {
		now_capabilities = *to;
		are_touched = false;
	}
	return r;
}

static int switch_to(const struct identity *to)
{
	bool differ = !have_equal_groups(to, &self);

	if ((differ || groups_differ) && syscall(SYS_setgroups, to->group_count, to->groups))
		return -errno;
	groups_differ = differ;
	setfsgid(to->gid);
	if ((gid_t)setfsgid((gid_t)-1) != to->gid)
		return -EPERM;
	setfsuid(to->uid);
	if ((uid_t)setfsuid((uid_t)-1) != to->uid)
		return -EPERM;
	are_touched |= is_root != (to->uid == 0);
	is_root = to->uid == 0;
	return 0;
}

int identity_assume(const struct identity *identity, struct error *err)
{
	struct capabilities c;
	int r;

	r = learn_self(err);
	if (r)
		return r;
	if (identity->uid == self.uid && !may_change(&self_capabilities))
		return 0;
	if (!may_change(&self_capabilities))
		return fail(err, -EPERM, "NOT_ALLOWED",
			"this daemon runs as uid %d without the right to act as uid %d",
			(int)self.uid, (int)identity->uid);
	assumed = true;
	r = switch_to(identity);
	if (r == 0) {
		c = self_capabilities;
		c.effective &= ~READ_ALL;
		if (identity->uid == 0)
			c.effective |= c.permitted & READ_ALL;
		r = switch_capabilities(&c);
	}
	if (r) {
		identity_resume();
		return fail_errno(err, r, NULL, "cannot act as uid %d", (int)identity->uid);
	}
	return 0;
}

void identity_resume(void)
{
	if (!assumed)
		return;
	assumed = false;
	/* Staying somebody else is not something to go on from. */
	if (switch_to(&self) || switch_capabilities(&self_capabilities))
		abort();
}

int identity_drop(const struct identity *identity, struct error *err)
{
	static const struct capabilities none;
	int cap;

	for (cap = 0; cap <= CAP_LAST_CAP; cap++)
		prctl(PR_CAPBSET_DROP, cap, 0, 0, 0);
	if (identity && identity_may_change()) {
		if (syscall(SYS_setgroups, identity->group_count, identity->groups) ||
			syscall(SYS_setresgid, identity->gid, identity->gid, identity->gid) ||
			syscall(SYS_setresuid, identity->uid, identity->uid, identity->uid))
			return fail_errno(
				err, -errno, NULL, "cannot become uid %d", (int)identity->uid);
	} else if (identity && identity->uid != geteuid()) {
		return fail(err, -EPERM, NULL, "cannot become uid %d", (int)identity->uid);
	}
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		return fail_errno(err, -errno, NULL, "cannot set no_new_privs");
	prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	if (capabilities_set(&none))
		return fail_errno(err, -errno, NULL, "cannot drop capabilities");
	return 0;
}

int identity_keep(uint64_t keep, struct error *err)
{
	struct capabilities c;
	int cap, r;

	/* Those in force between two times of acting as others. */
	r = learn_self(err);
	if (r)
		return r;
	for (cap = 0; cap <= CAP_LAST_CAP; cap++)
		if (!(keep & CAP_BIT(cap)))
			prctl(PR_CAPBSET_DROP, cap, 0, 0, 0);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		return fail_errno(err, -errno, NULL, "cannot set no_new_privs");
	prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	c = self_capabilities;
	c.effective &= keep;
	c.permitted &= keep;
	c.inheritable = 0;
	r = capabilities_set(&c);
	if (r)
		return fail_errno(err, r, NULL, "cannot drop capabilities");
	self_capabilities = now_capabilities = c;
	return 0;
}

int identity_become_service(uid_t uid, gid_t gid, uint64_t keep, struct error *err)
{
	struct capabilities c = {
		.effective = keep & ~READ_ALL,
		.permitted = keep,
		.inheritable = keep,
	};
	int cap;

	for (cap = 0; cap <= CAP_LAST_CAP; cap++)
		if (!(keep & CAP_BIT(cap)))
			prctl(PR_CAPBSET_DROP, cap, 0, 0, 0);
	if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) || syscall(SYS_setgroups, 0, NULL) ||
		syscall(SYS_setresgid, gid, gid, gid) || syscall(SYS_setresuid, uid, uid, uid))
		return fail_errno(
			err, -errno, NULL, "cannot become uid %d, gid %d", (int)uid, (int)gid);
	if (capabilities_set(&c))
		return fail_errno(err, -errno, NULL, "cannot keep my capabilities");
	for (cap = 0; cap <= CAP_LAST_CAP; cap++)
		if (keep & CAP_BIT(cap) && prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, cap, 0, 0))
			return fail_errno(err, -errno, NULL, "cannot hand on capability %d", cap);
	return 0;
}
