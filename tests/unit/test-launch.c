#include "proto/launch.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

static const char *const arguments[] = { "/bin/python", "-c", "", NULL };
static const char *const environment[] = { "A=1\nb", "EMPTY=", NULL };
static const char *const none[] = { NULL };

static void expect_equal(const char *const *words, const char *const *expected)
{
	for (; *expected; words++, expected++)
		cr_assert_str_eq(*words, *expected);
	cr_expect_null(*words);
}

static int pipe_of(const void *bytes, size_t size)
{
	int fds[2];

	cr_assert_eq(pipe(fds), 0);
	cr_assert_eq(write(fds[1], bytes, size), (ssize_t)size);
	close(fds[1]);
	return fds[0];
}

static int read_of(const void *bytes, size_t size, struct launch_read *ret)
{
	int fd = pipe_of(bytes, size), r = launch_read(fd, ret);

	close(fd);
	return r;
}

Test(launch, reads_what_was_written)
{
	const struct launch launch = { "/work", "/log", arguments, environment };
	_cleanup_buffer_ struct buffer packed = { 0 };
	struct launch_read read;

	launch_pack(&launch, &packed);
	cr_assert_eq(read_of(packed.data, packed.size, &read), 0);
	cr_expect_str_eq(read.launch.directory, "/work");
	cr_expect_str_eq(read.launch.log, "/log");
	expect_equal(read.launch.arguments, arguments);
	expect_equal(read.launch.environment, environment);
	launch_read_deinit(&read);
}

Test(launch, an_environment_may_be_empty)
{
	const struct launch launch = { "/", "/log", arguments, none };
	_cleanup_buffer_ struct buffer packed = { 0 };
	struct launch_read read;

	launch_pack(&launch, &packed);
	cr_assert_eq(read_of(packed.data, packed.size, &read), 0);
	expect_equal(read.launch.arguments, arguments);
	expect_equal(read.launch.environment, none);
	launch_read_deinit(&read);
}

Test(launch, what_is_cut_off_is_nothing)
{
	const struct launch launch = { "/work", "/log", arguments, environment };
	_cleanup_buffer_ struct buffer packed = { 0 };
	struct launch_read read;
	size_t size;

	launch_pack(&launch, &packed);
	for (size = 0; size < packed.size; size++)
		cr_expect_eq(read_of(packed.data, size, &read), -ENODATA, "%zu bytes", size);
}

Test(launch, refuses_what_nobody_writes)
{
	static const struct {
		uint64_t size, arguments, environment;
		const char *text;
	} cases[] = {
		{ 0, 1, 0, "" },
		{ UINT64_MAX, 1, 0, "" },
		{ 10, UINT64_MAX, 0, "/\0/log\0/x" },
		{ 10, 1, UINT64_MAX, "/\0/log\0/x" },
		{ 10, 0, 1, "/\0/log\0/x" },
		{ 10, 2, 0, "/\0/log\0/x" },
		{ 10, 1, 1, "/\0/log\0/x" },
		{ 9, 1, 0, "/\0/log\0/x" },
		{ 7, 1, 0, "/\0/log" },
		{ 12, 1, 0, "/\0/log\0/x\0y" },
	};
	struct launch_read read;
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		_cleanup_buffer_ struct buffer packed = { 0 };

		buffer_append(&packed, &cases[i], 3 * sizeof(uint64_t));
		if (cases[i].size < 100)
			buffer_append(&packed, cases[i].text, cases[i].size);
		cr_expect_eq(read_of(packed.data, packed.size, &read), -EBADMSG, "case %zu", i);
	}
}
