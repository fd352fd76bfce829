#include "proto/hash.h"

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
static struct hash_artifact artifacts[4];
static struct hash_parts parts;

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
	artifacts[0] = (struct hash_artifact){ "k1", "d1" };
	artifacts[1] = (struct hash_artifact){ "k2", "d2" };
	artifacts[2] = (struct hash_artifact){ "f1", "e1" };
	artifacts[3] = (struct hash_artifact){ "f2", "e2" };
	parts = (struct hash_parts){ .spec = &spec, .artifacts = artifacts, .salt = "salt" };
}

TestSuite(environment, .init = setup);

static void hash(char ret[SHA256_HEX_SIZE])
{
	_cleanup_(hash_components_deinit) struct hash_components components = { 0 };

	hash_environment(&parts, ret, &components);
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
	artifacts[0].key = "k2";
	artifacts[1].key = "k1";
	hash(b);
	cr_expect_str_eq(a, b);
}

Test(environment, all_of_the_content_matters)
{
	hash(a);
	artifacts[0].key = "k3";
	expect_other("an archive's layer");
	archives[0].target = (char *)"env";
	expect_other("an archive's target");
	artifacts[2].key = "f2", artifacts[3].key = "f1";
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
		parts.interpreter = "/usr/bin/python3";
		parts.python = &python;
		hash_environment(&parts, hashes[i], &components);
		cr_expect_str_eq(components.rows[5].kind, "python-identity");
		cr_expect(strstr(components.rows[5].value, versions[i]));
	}
	cr_expect_str_neq(hashes[0], hashes[1]);
}

Test(environment, the_components_say_what_it_was_made_from_but_no_secret)
{
	_cleanup_(hash_components_deinit) struct hash_components components = { 0 };
	size_t i;

	hash_environment(&parts, a, &components);
	cr_assert_eq(components.count, 11);
	cr_expect_str_eq(components.rows[0].name, "model");
	cr_expect_str_eq(components.rows[1].name, "venv");
	cr_expect_str_eq(components.rows[1].value, "k1");
	cr_expect_str_eq(components.rows[5].kind, "variable");
	cr_expect_str_eq(components.rows[7].kind, "archive-content");
	cr_expect_str_eq(components.rows[7].name, "venv");
	cr_expect_str_eq(components.rows[7].value, "d1");
	cr_expect_str_eq(components.rows[10].kind, "bytecode");
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
	hash_environment(&parts, b, &components);
	cr_expect_str_neq(a, b, "the kind did not matter");
	cr_assert_eq(components.count, 12);
	cr_expect_str_eq(components.rows[6].kind, "worker");
	cr_expect_str_eq(components.rows[6].name, "docker");
	cr_expect_str_eq(components.rows[6].value, "/opt/run");
}

Test(environment, requirements_are_told_apart_by_their_hash_and_shown_by_what_they_name)
{
	_cleanup_(hash_components_deinit) struct hash_components components = { 0 };
	struct hash_required required = { "r1", "c1", "a==1\nb\na==1\n", true };
	static const char *const shown[][3] = {
		{ "requirements-content", "", "c1" },
		{ "installer", "", "uv" },
		{ "requirement", "a==1", "" },
		{ "requirement", "b", "" },
	};
	size_t i;

	parts.required = &required;
	hash_environment(&parts, a, &components);
	cr_expect_str_eq(components.rows[5].kind, "requirements");
	cr_assert_eq(components.count, 16);
	for (i = 0; i < ARRAY_SIZE(shown); i++) {
		cr_expect_str_eq(components.rows[12 + i].kind, shown[i][0]);
		cr_expect_str_eq(components.rows[12 + i].name, shown[i][1]);
		cr_expect_str_eq(components.rows[12 + i].value, shown[i][2]);
	}
	required.digest = "c2";
	required.specifiers = NULL;
	hash(b);
	cr_expect_str_eq(a, b);
	required.hash = "r2";
	hash(b);
	cr_expect_str_neq(a, b);
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

Test(request, so_does_what_was_uploaded)
{
	struct spec_upload uploads[] = {
		{ (char *)"r.txt", (char *)"0" },
		{ (char *)"a.zip", (char *)"1" },
	};

	setup();
	spec.requirements.files = uploads;
	spec.requirements.file_count = 2;
	hash_request(&spec, "salt", a);
	uploads[1].name = (char *)"b.zip";
	hash_request(&spec, "salt", b);
	cr_expect_str_neq(a, b, "the name did not matter");
	uploads[1] = (struct spec_upload){ (char *)"a.zip", (char *)"2" };
	hash_request(&spec, "salt", b);
	cr_expect_str_neq(a, b, "the digest did not matter");
	uploads[1].digest = (char *)"1";
	spec.requirements.file_count = spec.requirements.package_count = 1;
	spec.requirements.package_files = &uploads[1];
	hash_request(&spec, "salt", b);
	cr_expect_str_neq(a, b, "whether it is a package did not matter");
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
