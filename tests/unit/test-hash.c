#include "daemon/core/hash.h"

#include <criterion/criterion.h>

static char a[SHA256_HEX_SIZE], b[SHA256_HEX_SIZE];

static void layer_key(const struct hash_layer *layer, char ret[SHA256_HEX_SIZE])
{
	hash_layer_key(layer, ret);
}

Test(hash, a_layer_key_depends_on_all_it_was_made_from)
{
	const struct hash_layer base = { JOB_LAYER_FILE, "a.py", "00", JOB_COMPILE_NEVER };
	struct hash_layer other;

	layer_key(&base, a);
	other = base;
	layer_key(&other, b);
	cr_expect_str_eq(a, b);
	other.name = "b.py";
	layer_key(&other, b);
	cr_expect_str_neq(a, b);
	other = base;
	other.digest = "01";
	layer_key(&other, b);
	cr_expect_str_neq(a, b);
	other = base;
	other.layer = JOB_LAYER_DIRECTORY;
	layer_key(&other, b);
	cr_expect_str_neq(a, b);
}

Test(hash, bytecode_matters_to_archives_only)
{
	struct hash_layer layer = { JOB_LAYER_ARCHIVE, NULL, "00", JOB_COMPILE_NEVER };

	layer_key(&layer, a);
	layer.compile = JOB_COMPILE_ALWAYS;
	layer_key(&layer, b);
	cr_expect_str_neq(a, b);
	layer.layer = JOB_LAYER_FILE;
	layer_key(&layer, a);
	layer.compile = JOB_COMPILE_NEVER;
	layer_key(&layer, b);
	cr_expect_str_eq(a, b);
}

/* Two archives, two files, a variable. */
static struct spec_archive archives[2];
static struct spec_file files[2];
static struct spec_variable variables[1];
static struct spec spec;
static const char *archive_keys[2], *file_keys[2];

static void setup(void)
{
	archives[0] = (struct spec_archive){ (char *)"/1", (char *)"venv", false };
	archives[1] = (struct spec_archive){ (char *)"/2", (char *)"model", false };
	files[0] = (struct spec_file){ (char *)"/x.py", (char *)"x.py" };
	files[1] = (struct spec_file){ (char *)"/y.py", (char *)"y.py" };
	variables[0] = (struct spec_variable){ (char *)"TOKEN", (char *)"secret" };
	spec = (struct spec){
		.request_id = (char *)"",
		.label = (char *)"",
		.archives = archives,
		.archive_count = 2,
		.files = files,
		.file_count = 2,
		.python = (char *)"venv/bin/python",
		.python_path = (char *)"",
		.variables = variables,
		.variable_count = 1,
	};
	archive_keys[0] = "k1";
	archive_keys[1] = "k2";
	file_keys[0] = "f1";
	file_keys[1] = "f2";
}

TestSuite(environment, .init = setup);

static void hash(char ret[SHA256_HEX_SIZE])
{
	_cleanup_(hash_components_deinit) struct hash_components components = { 0 };

	hash_environment(
		&spec, archive_keys, file_keys, NULL, NULL, NULL, "salt", ret, &components);
}

static void expect_other(const char *what)
{
	hash(b);
	cr_expect_str_neq(a, b, "%s did not matter", what);
	setup();
}

Test(environment, archives_are_a_set)
{
	struct spec_archive archive = archives[0];

	hash(a);
	archives[0] = archives[1];
	archives[1] = archive;
	archive_keys[0] = "k2";
	archive_keys[1] = "k1";
	hash(b);
	cr_expect_str_eq(a, b);
}

Test(environment, all_of_the_content_matters)
{
	hash(a);
	archive_keys[0] = "k3";
	expect_other("an archive's layer");
	archives[0].target = (char *)"env";
	expect_other("an archive's target");
	file_keys[0] = "f2", file_keys[1] = "f1";
	expect_other("a file's layer");
	files[0].name = (char *)"z.py";
	expect_other("a file's name");
	spec.python = (char *)"venv/bin/python3";
	expect_other("the interpreter");
	spec.python_path = (char *)"/opt/lib";
	expect_other("the Python path");
	variables[0].value = (char *)"other";
	expect_other("a variable's value");
	variables[0].name = (char *)"OTHER";
	expect_other("a variable's name");
	spec.archive_count = 1;
	expect_other("the number of archives");
}

Test(environment, who_asks_and_how_does_not_matter)
{
	hash(a);
	spec.label = (char *)"another Flink job";
	spec.request_id = (char *)"r";
	spec.base_path = (char *)"/usr/bin";
	spec.holder = SPEC_HOLDER_TIME;
	archives[0].path = (char *)"/elsewhere";
	archives[0].private_copy = true;
	hash(b);
	cr_expect_str_eq(a, b);
}

Test(environment, who_an_interpreter_of_the_host_is_matters)
{
	static const char *const versions[] = { "3.11.2", "3.12.1" };
	struct job_python python = { "cpython", "", "cpython-311", "linux-x86_64", "23.0", false };
	char hashes[2][SHA256_HEX_SIZE];
	size_t i;

	for (i = 0; i < 2; i++) {
		_cleanup_(hash_components_deinit) struct hash_components components = { 0 };

		memcpy(python.version, versions[i], strlen(versions[i]) + 1);
		hash_environment(&spec, archive_keys, file_keys, "/usr/bin/python3", &python, NULL,
			"salt", hashes[i], &components);
		cr_expect_str_eq(components.rows[5].kind, "python-identity");
		cr_expect(strstr(components.rows[5].value, versions[i]));
	}
	cr_expect_str_neq(hashes[0], hashes[1]);
}

Test(environment, the_components_say_what_it_was_made_from_but_no_secret)
{
	_cleanup_(hash_components_deinit) struct hash_components components = { 0 };
	size_t i;

	hash_environment(&spec, archive_keys, file_keys, NULL, NULL, NULL, "salt", a, &components);
	cr_assert_eq(components.count, 6);
	cr_expect_str_eq(components.rows[0].name, "model");
	cr_expect_str_eq(components.rows[1].name, "venv");
	cr_expect_str_eq(components.rows[1].value, "k1");
	cr_expect_str_eq(components.rows[5].kind, "variable");
	for (i = 0; i < components.count; i++)
		cr_expect_null(strstr(components.rows[i].value, "secret"));
}

Test(environment, the_worker_matters_unless_it_is_the_default)
{
	_cleanup_(hash_components_deinit) struct hash_components components = { 0 };

	hash(a);
	spec.worker_program = (char *)"/opt/run";
	expect_other("the command");
	spec.worker_program = (char *)"/opt/run";
	hash(a);
	spec.worker = SPEC_WORKER_DOCKER;
	hash_environment(&spec, archive_keys, file_keys, NULL, NULL, NULL, "salt", b, &components);
	cr_expect_str_neq(a, b, "the kind did not matter");
	cr_assert_eq(components.count, 7);
	cr_expect_str_eq(components.rows[6].kind, "worker");
	cr_expect_str_eq(components.rows[6].name, "docker");
	cr_expect_str_eq(components.rows[6].value, "/opt/run");
}

Test(environment, the_hash_is_the_same_in_every_version)
{
	hash(a);
	/* Hosts of one cluster compare it: a change needs a new version in hash.c. */
	cr_expect_str_eq(a, "81ab1db6191d305a7aa75f95a6b6ccc8b5a6abb3d7db002774a8bfc45b263e57");
}

static void expect_another_request(const char *what)
{
	hash_request(&spec, "salt", b);
	cr_expect_str_neq(a, b, "%s did not matter", what);
	setup();
	hash_request(&spec, "salt", b);
	cr_expect_str_eq(a, b);
}

Test(request, everything_said_matters)
{
	setup();
	hash_request(&spec, "salt", a);
	spec.label = (char *)"x";
	expect_another_request("the label");
	spec.base_path = (char *)"";
	expect_another_request("the PATH before");
	spec.requirements.path = (char *)"/r.txt";
	expect_another_request("the requirements");
	spec.requirements.packages = (char *)"/wheels";
	expect_another_request("the directory of packages");
	spec.requirements.refresh = true;
	expect_another_request("that they are to be resolved anew");
	spec.guardian_pid = 4711;
	expect_another_request("the guardian");
	spec.worker_program = (char *)"/opt/run";
	hash_request(&spec, "salt", a);
	spec.worker = SPEC_WORKER_DOCKER;
	hash_request(&spec, "salt", b);
	cr_expect_str_neq(a, b);
}

Test(request, a_digest_is_the_same_in_every_version)
{
	setup();
	hash_request(&spec, "salt", a);
	/* Leases live through an upgrade of the daemon, and a retry must find its own. */
	cr_expect_str_eq(a, "0bb50e07b862880320a1ac30276d482d09c8aa201df0b19ebb8101c8438653dc");
}

Test(reader, groups_matter)
{
	gid_t groups[] = { 5, 6 };
	struct identity one = { 1000, 1000, 2, groups }, two = { 1000, 1000, 1, groups };

	hash_reader(&one, a);
	hash_reader(&two, b);
	cr_expect_str_neq(a, b);
}
