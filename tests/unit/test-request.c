#include <criterion/criterion.h>
#include <errno.h>
#include <unistd.h>
#include "base/util.h"
#include "proto/request.h"

static struct request request;
static struct error err;

static int take(const char *name, const char *value)
{
	const struct argument *row;

	for (row = request_arguments; row->name; row++)
		if (strcmp(row->name, name) == 0)
			return row->take(&request, value, &err);
	cr_assert_fail("no option '--%s'", name);
	return 0;
}

static void expect_archive(size_t i, const char *path, const char *target)
{
	cr_expect_str_eq(request.message.archives[i]->path, path);
	cr_expect_str_eq(request.message.archives[i]->target_dir, target);
}

Test(request, the_first_hash_divides_file_and_target)
{
	cr_expect_eq(take("archive", "/srv/a.zip#venv"), 0);
	cr_expect_eq(take("archive", "/srv/b.zip#x#y"), 0);
	cr_expect_eq(take("archive", "/srv/c.zip"), 0);
	cr_expect_eq(take("archive", "/srv/d.zip#"), 0);
	cr_expect_eq(take("archive", "/srv/e//"), 0);
	cr_expect_eq(take("archive-copy", "/f"), 0);
	cr_assert_eq(request.message.n_archives, 6);
	expect_archive(0, "/srv/a.zip", "venv");
	expect_archive(1, "/srv/b.zip", "x#y");
	expect_archive(2, "/srv/c.zip", "c.zip");
	expect_archive(3, "/srv/d.zip", "");
	expect_archive(4, "/srv/e//", "e");
	expect_archive(5, "/f", "f");
	cr_expect_not(request.message.archives[4]->private_copy);
	cr_expect(request.message.archives[5]->private_copy);
	request_deinit(&request);
}

Test(request, relative_paths_begin_here)
{
	cr_assert_eq(chdir("/usr"), 0);
	cr_expect_eq(take("archive", "lib/a.zip"), 0);
	cr_expect_eq(take("archive", "././a.zip"), 0);
	cr_expect_eq(take("archive", "../a.zip"), 0);
	cr_expect_eq(take("python-path", "lib:/opt::share"), 0);
	cr_expect_eq(take("python-path", "x"), 0);
	expect_archive(0, "/usr/lib/a.zip", "a.zip");
	expect_archive(1, "/usr/a.zip", "a.zip");
	expect_archive(2, "/usr/../a.zip", "a.zip");
	cr_expect_str_eq(request.message.python_path, "/usr/lib:/opt:/usr/share:/usr/x");
	cr_assert_eq(chdir("/"), 0);
	cr_expect_eq(take("archive", "a.zip"), 0);
	expect_archive(3, "/a.zip", "a.zip");
	request_deinit(&request);
}

Test(request, a_file_needs_a_name)
{
	cr_expect_eq(take("archive", ""), -EINVAL);
	cr_expect_eq(take("archive", "#venv"), -EINVAL);
	cr_expect_str_eq(err.text, "archive '#venv': the file's name is empty");
	cr_expect_eq(take("python-file", "#x"), -EINVAL);
	request_deinit(&request);
}

Test(request, the_last_value_of_a_variable_wins)
{
	cr_expect_eq(take("env", "A=1"), 0);
	cr_expect_eq(take("env", "AB=="), 0);
	cr_expect_eq(take("env", "A="), 0);
	cr_assert_eq(request.message.n_variables, 2);
	cr_expect_str_eq(request.message.variables[0]->key, "A");
	cr_expect_str_eq(request.message.variables[0]->value, "");
	cr_expect_str_eq(request.message.variables[1]->key, "AB");
	cr_expect_str_eq(request.message.variables[1]->value, "=");
	cr_expect_eq(take("env", "A"), -EINVAL);
	cr_expect_eq(take("env", "=A"), -EINVAL);
	request_deinit(&request);
}

Test(request, a_worker_is_of_one_kind)
{
	cr_assert_eq(chdir("/usr"), 0);
	cr_expect_eq(take("worker-command", "bin/a"), 0);
	cr_expect_eq(take("worker-command", "/b"), 0);
	cr_expect_str_eq(request.message.process_worker->command, "/b");
	cr_expect_eq(take("worker-command", ""), -EINVAL);
	cr_expect_str_eq(err.text, "worker command '': the file's name is empty");
	cr_expect_eq(take("docker", "img:1"), -EINVAL);
	cr_expect(strstr(err.text, "exclude"), "%s", err.text);
	cr_expect_eq(request.message.worker_case,
		PYENVD__V1__CREATE_ENVIRONMENT_REQUEST__WORKER_PROCESS_WORKER);
	request_deinit(&request);
	cr_expect_eq(take("docker", "img:1"), 0);
	cr_expect_eq(take("docker", "img:2"), 0);
	cr_expect_str_eq(request.message.docker_worker->container_image, "img:2");
	cr_expect_eq(take("worker-command", "/b"), -EINVAL);
	request_deinit(&request);
}

Test(request, it_survives_packing)
{
	Pyenvd__V1__CreateEnvironmentRequest *back;
	uint8_t bytes[512];
	size_t size;

	take("python-file", "/srv/f.py#g.py");
	take("python", "python3");
	take("python", "venv/bin/python");
	take("label", "l");
	take("request-id", "r");
	take("bytecode", "never");
	take("worker-command", "/r");
	request_set_base(&request, "/bin", NULL);
	request_hold_for(&request, 60);
	size = pyenvd__v1__create_environment_request__pack(&request.message, bytes);
	request_deinit(&request);
	back = pyenvd__v1__create_environment_request__unpack(NULL, size, bytes);
	cr_assert(back);
	cr_expect_str_eq(back->python, "venv/bin/python");
	cr_expect_str_eq(back->python_files[0]->name, "g.py");
	cr_expect_eq(back->bytecode, PYENVD__V1__BYTECODE__BYTECODE_NEVER);
	cr_expect_eq(back->n_base_variables, 1);
	cr_expect_eq(back->holder->time_to_live->seconds, 60);
	cr_expect_str_eq(back->process_worker->command, "/r");
	pyenvd__v1__create_environment_request__free_unpacked(back, NULL);
}

Test(request, an_unused_one_is_nothing_to_free)
{
	request_deinit(&request);
	cr_expect_not(request.is_begun);
}

Test(request, a_path_gives_way_to_a_digest_wherever_it_is)
{
	Pyenvd__V1__CreateEnvironmentRequest *message = &request.message;

	take("archive", "/a.zip#one");
	take("archive", "/b.zip#two");
	take("python-file", "/a.zip");
	take("python-file", "/a.zip//#named");
	cr_expect(request_has_path(&request, "/a.zip"));
	cr_expect_not(request_has_path(&request, "/a.zi"));
	cr_expect_not(request_has_path(&request, "/a.zip/x"));
	cr_expect_not(request_has_path(&request, ""));
	request_use_digest(&request, "/a.zip", "d1gest");
	cr_expect_not(request_has_path(&request, "/a.zip"));
	cr_expect_str_eq(message->archives[0]->path, "");
	cr_expect_str_eq(message->archives[0]->sha256, "d1gest");
	cr_expect_str_eq(message->archives[0]->target_dir, "one");
	cr_expect_str_eq(message->archives[1]->path, "/b.zip");
	cr_expect_str_eq(message->archives[1]->sha256, "");
	cr_expect_str_eq(message->python_files[0]->name, "a.zip");
	cr_expect_str_eq(message->python_files[1]->name, "named");
	cr_expect_str_eq(message->python_files[1]->sha256, "d1gest");
}

Test(request, requirements_and_whether_to_refresh_them)
{
	cr_expect_eq(take("refresh", NULL), 0);
	cr_expect_eq(take("requirements", "/srv/r.txt#/srv/wheels"), 0);
	cr_assert_not_null(request.message.requirements);
	cr_expect_str_eq(request.message.requirements->path, "/srv/r.txt");
	cr_expect_str_eq(request.message.requirements->package_directory, "/srv/wheels");
	cr_expect(request.message.requirements->refresh);
	request_deinit(&request);
	cr_expect_eq(take("requirements", "/srv/r.txt"), 0);
	cr_expect_str_empty(request.message.requirements->package_directory);
	cr_expect_not(request.message.requirements->refresh);
	request_deinit(&request);
}
