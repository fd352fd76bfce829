#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include "base/util.h"
#include "client/address.h"

static char *directory;
static struct address_hints hints;

static char *below(const char *name)
{
	return text_format("%s/%s", directory, name);
}

static void expect(const char *wanted)
{
	_cleanup_free_ char *path = address_choose(&hints);

	cr_expect_str_eq(path, wanted);
}

static void set_up(void)
{
	directory = text_copy("/tmp/test-address-XXXXXX");
	cr_assert(mkdtemp(directory));
	hints = (struct address_hints){
		.system = below("system"),
		.runtime = directory,
		.uid = 1000,
	};
}

static void tear_down(void)
{
	_cleanup_free_ char *command = text_format("rm -rf '%s'", directory);

	if (system(command))
		abort();
}

static char *make_own(void)
{
	_cleanup_free_ char *parent = below("pyenvd");
	char *own = below("pyenvd/pyenvd.sock");

	cr_assert_eq(mkdir(parent, 0700), 0);
	close(open(own, O_CREAT | O_WRONLY, 0600));
	return own;
}

TestSuite(address, .init = set_up, .fini = tear_down);

Test(address, who_is_asked_for_is_taken)
{
	hints.asked = "/elsewhere";
	expect("/elsewhere");
	hints.asked = "";
	expect(hints.system);
}

Test(address, the_users_own_is_taken_only_without_the_systems)
{
	_cleanup_free_ char *own = make_own();

	expect(own);
	close(open(hints.system, O_CREAT | O_WRONLY, 0600));
	expect(hints.system);
}

Test(address, the_systems_is_named_when_there_is_neither)
{
	expect(hints.system);
	hints.runtime = NULL;
	expect(hints.system);
}

Test(address, root_has_no_own)
{
	_cleanup_free_ char *own = make_own();

	hints.uid = 0;
	expect(hints.system);
}

Test(address, a_connection_does_not_block_and_is_not_inherited)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int listener = socket(AF_UNIX, SOCK_STREAM, 0), fd;
	struct error err;

	snprintf(address.sun_path, sizeof(address.sun_path), "%s/sock", directory);
	cr_assert_eq(bind(listener, (struct sockaddr *)&address, sizeof(address)), 0);
	cr_expect_eq(address_connect(address.sun_path, 100, &err), -ECONNREFUSED);
	cr_assert_eq(listen(listener, 1), 0);
	fd = address_connect(address.sun_path, 100, &err);
	cr_assert_geq(fd, 0);
	cr_expect(fcntl(fd, F_GETFL) & O_NONBLOCK);
	cr_expect(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	close(fd);
	close(listener);
}
