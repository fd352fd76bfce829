/*
 * As root: the state directory and the socket's directory are made and given to the
 * service's user, then root is given up for good. What is kept:
 *
 *	CAP_SETUID, CAP_SETGID      to open a client's files as the client
 *	CAP_CHOWN                   to give a lease's directory to its owner
 *	CAP_DAC_READ_SEARCH,        permitted only: made effective while acting as root
 *	CAP_DAC_OVERRIDE            for a client that is root (base/identity.c)
 *
 * As an ordinary user: the directories are made, and nothing changes.
 */
#include "daemon/privilege.h"

#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <unistd.h>
#include "base/fs.h"

#define CAP_BIT(cap) (UINT64_C(1) << (cap))
#define KEPT                                                                                       \
	(CAP_BIT(CAP_SETUID) | CAP_BIT(CAP_SETGID) | CAP_BIT(CAP_CHOWN) |                          \
		CAP_BIT(CAP_DAC_READ_SEARCH) | CAP_BIT(CAP_DAC_OVERRIDE))

static int find_group(const char *name, gid_t *ret, struct error *err)
{
	struct group *group;

	*ret = (gid_t)-1;
	if (!*name)
		return 0;
	group = getgrnam(name);
	if (!group)
		return fail(err, -ENOENT, NULL, "there is no group '%s'", name);
	*ret = group->gr_gid;
	return 0;
}

static int find_user(const char *name, uid_t *uid, gid_t *gid, struct error *err)
{
	struct passwd *user = getpwnam(name);

	if (!user)
		return fail(err, -ENOENT, NULL,
			"there is no user '%s' to become: make it (systemd-sysusers), or name "
			"another with --user",
			name);
	*uid = user->pw_uid;
	*gid = user->pw_gid;
	return 0;
}

/* A directory that root has just made, or had made for us, becomes the service's. */
static int give(const char *path, uid_t uid, gid_t gid, struct error *err)
{
	struct stat st;

	if (lstat(path, &st))
		return fail_errno(err, -errno, NULL, "cannot look at '%s'", path);
	if (st.st_uid == 0 && uid != 0 && lchown(path, uid, gid))
		return fail_errno(err, -errno, NULL, "cannot give '%s' to uid %d", path, (int)uid);
	return 0;
}

/* @made: it was not there before. */
static int make_directory(const char *path, bool *made, struct error *err)
{
	int r;

	*made = access(path, F_OK) != 0;
	r = fs_make_directories(path, 0755);
	return r ? fail_errno(err, r, NULL, "cannot make the directory '%s'", path) : 0;
}

struct places {
	char *run; /* owned; the socket's directory */
	bool run_is_ours;
};

static void places_deinit(struct places *places)
{
	free(places->run);
}

/* The socket's directory is given away only if it is there for us alone. */
static int make_directories(const struct config *config, struct places *ret, struct error *err)
{
	bool made;
	int r = 0;

	ret->run = text_copy(config->socket);
	*strrchr(ret->run, '/') = 0;
	if (*ret->run)
		r = make_directory(ret->run, &made, err);
	ret->run_is_ours = *ret->run && (made || text_ends_with(ret->run, "/pyenvd"));
	return r ? r : make_directory(config->state_dir, &made, err);
}

/* Of those that are not named, the ones that are there. */
static int find_install_users(const struct config *config, struct privilege *ret, struct error *err)
{
	static const char standard[] =
		"pyenvd-install0 pyenvd-install1 pyenvd-install2 pyenvd-install3";
	_cleanup_free_ char *names = text_copy(
		config->install_users ? config->install_users : standard);
	char *at = names, *name;

	ret->install_users = new0_array(struct identity, strlen(names) / 2 + 1);
	while ((name = strsep(&at, " "))) {
		struct passwd *user = *name ? getpwnam(name) : NULL;

		if (!*name || (!user && !config->install_users))
			continue;
		if (!user)
			return fail(
				err, -ENOENT, NULL, "install_users: there is no user '%s'", name);
		if (user->pw_uid == 0)
			return fail(err, -EINVAL, NULL, "install_users: '%s' is root", name);
		ret->install_users[ret->install_user_count++] = (struct identity){
			.uid = user->pw_uid,
			.gid = user->pw_gid,
		};
	}
	return 0;
}

void privilege_deinit(struct privilege *privilege)
{
	free(privilege->install_users);
	*privilege = (struct privilege){ 0 };
}

int privilege_drop(const struct config *config, struct privilege *ret, struct error *err)
{
	_cleanup_(places_deinit) struct places places = { 0 };
	gid_t gid = getegid();
	uid_t uid = geteuid();
	int r;

	r = find_group(config->socket_group, &ret->socket_group, err);
	if (r == 0)
		r = find_group(config->admin_group, &ret->admin_group, err);
	if (r == 0)
		r = make_directories(config, &places, err);
	if (r)
		return r;
	ret->socket_mode = ret->socket_group == (gid_t)-1 ? 0600 : 0660;
	if (uid != 0)
		return 0;
	r = find_install_users(config, ret, err);
	if (r == 0)
		r = find_user(config->user, &uid, &gid, err);
	if (r == 0)
		r = give(config->state_dir, uid, gid, err);
	if (r == 0 && places.run_is_ours)
		r = give(places.run, uid, gid, err);
	if (r || uid == 0)
		return r;
	return identity_become_service(uid, gid, KEPT, err);
}
