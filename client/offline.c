/*
 * What the daemon does side by side is done here in a row:
 *
 *	archives, Python files -> digests -> layer keys
 *	requirements -> what they say, as a digest
 *	python: of the host -> asked who it is
 *	        in an archive -> only if there are requirements to install for it: unpacked for a
 *	        moment, and asked there
 *	all of it -> the hash
 *
 * An interpreter in an archive is otherwise known by the archive and its path in it.
 */
#include "client/offline.h"

#include <errno.h>
#include "client/unpack.h"
#include "proto/spec-python.h"

struct artifact {
	char key[SHA256_HEX_SIZE], digest[SHA256_HEX_SIZE];
	uint8_t sha256[SHA256_SIZE];
};

struct finding {
	struct helper *helper;
	const struct spec *spec;
	struct artifact *artifacts; /* owned; archives, then Python files */
	struct spec_python where;
	char *python_path; /* owned; where it was found; NULL: nowhere */
	char *home; /* owned; the PYTHONHOME that it needs; NULL: none */
	struct job_python python;
	char required_digest[SHA256_HEX_SIZE], required_hash[SHA256_HEX_SIZE];
	char *specifiers; /* owned */
	bool needs_pip;
};

static void finding_deinit(struct finding *finding)
{
	spec_python_deinit(&finding->where);
	free(finding->artifacts);
	free(finding->python_path);
	free(finding->home);
	free(finding->specifiers);
}

/* ---- archives and Python files */

/* @name: of an entry of python.files; NULL: an archive. */
static int find_artifact(struct finding *finding, const char *path, const char *name,
	struct artifact *ret, struct error *err)
{
	_cleanup_(helper_answer_deinit) struct helper_answer answer = { 0 };
	bool is_for_container = finding->spec->worker == SPEC_WORKER_DOCKER;
	struct hash_layer layer = { .digest = ret->digest, .compile = finding->spec->compile };
	struct job job = {
		.kind = JOB_DIGEST,
		.digest = { .path = path, .may_be_directory = name != NULL },
	};
	int r;

	r = helper_run(finding->helper, &job, &answer, err);
	if (r)
		return r;
	layer.layer = spec_layer_kind(name, answer.result.is_directory);
	r = spec_check_kind(path, layer.layer, is_for_container, err);
	if (r)
		return r;
	layer.name = layer.layer == JOB_LAYER_ARCHIVE ? NULL : name;
	memcpy(ret->sha256, answer.result.sha256, SHA256_SIZE);
	hex_format(ret->sha256, SHA256_SIZE, ret->digest);
	hash_layer_key(&layer, ret->key);
	return 0;
}

static int find_artifacts(struct finding *finding, struct error *err)
{
	const struct spec *spec = finding->spec;
	size_t i;
	int r = 0;

	finding->artifacts = new0_array(struct artifact, spec->archive_count + spec->file_count);
	for (i = 0; i < spec->archive_count && r == 0; i++)
		r = find_artifact(
			finding, spec->archives[i].path, NULL, &finding->artifacts[i], err);
	for (i = 0; i < spec->file_count && r == 0; i++)
		r = find_artifact(finding, spec->files[i].path, spec->files[i].name,
			&finding->artifacts[spec->archive_count + i], err);
	return r;
}

static int read_requirements(struct finding *finding, struct error *err)
{
	_cleanup_(helper_answer_deinit) struct helper_answer answer = { 0 };
	struct job job = {
		.kind = JOB_REQUIREMENTS,
		.requirements = {
			.path = finding->spec->requirements.path,
			.packages = finding->spec->requirements.packages,
			.threads = finding->helper->threads,
		},
	};
	int r;

	r = helper_run(finding->helper, &job, &answer, err);
	if (r)
		return r;
	hex_format(answer.result.sha256, SHA256_SIZE, finding->required_digest);
	finding->needs_pip = answer.result.needs_pip;
	finding->specifiers = text_copy(answer.result.specifiers);
	return 0;
}

/* ---- the interpreter */

static int locate_python(struct finding *finding, struct error *err)
{
	_cleanup_(helper_answer_deinit) struct helper_answer answer = { 0 };
	struct spec_python *where = &finding->where;
	struct error why = { .r = -ENOENT };
	struct job job = {
		.kind = JOB_LOCATE,
		.locate = {
			.paths = (const char *const *)where->candidates,
			.path_count = where->candidate_count,
			.executable = true,
		},
	};

	if (!where->candidate_count || helper_run(finding->helper, &job, &answer, &why))
		return spec_python_fail(finding->spec, where, &why, err);
	if (answer.result.index >= where->candidate_count)
		return fail(err, -EIO, "WORKER_DIED", "a worker sent what no worker sends");
	finding->python_path = text_copy(where->candidates[answer.result.index]);
	return 0;
}

static int probe_python(struct finding *finding, struct error *err)
{
	_cleanup_(helper_answer_deinit) struct helper_answer answer = { 0 };
	_cleanup_free_ char *home = NULL;
	struct job job = { .kind = JOB_PROBE };
	int r;

	home = finding->where.archive ? spec_python_home(finding->python_path) : NULL;
	job.probe = (struct job_probe){ finding->python_path, home };
	r = helper_run(finding->helper, &job, &answer, err);
	if (r) {
		error_prefix(err, "python '%s'", finding->spec->python);
		return r;
	}
	finding->python = answer.result.python;
	if (finding->python.needs_home)
		finding->home = STEAL(home);
	return 0;
}

static int unpack_and_probe(struct finding *finding, struct error *err)
{
	const struct spec_archive *archive = finding->where.archive;
	const uint8_t *sha256 = finding->artifacts[archive - finding->spec->archives].sha256;
	struct unpack unpack = UNPACK_INIT;
	int r;

	r = unpack_begin(&unpack, finding->helper, archive->path, sha256, err);
	if (r == 0) {
		spec_python_place(&finding->where, unpack.tree);
		r = locate_python(finding, err);
	}
	if (r == 0)
		r = probe_python(finding, err);
	unpack_end(&unpack, finding->helper);
	return r;
}

static int find_python(struct finding *finding, struct error *err)
{
	int r;

	r = spec_python_find(finding->spec, &finding->where, err);
	if (r || !*finding->spec->python)
		return r;
	if (finding->where.archive)
		return finding->spec->requirements.path ? unpack_and_probe(finding, err) : 0;
	r = locate_python(finding, err);
	return r ? r : probe_python(finding, err);
}

/* ---- all of it */

static void hash_install_of(struct finding *finding, bool use_uv)
{
	const struct spec *spec = finding->spec;
	const struct spec_archive *archive = finding->where.archive;
	const struct hash_install install = {
		.spec = spec,
		.digest = finding->required_digest,
		.use_uv = use_uv,
		.archive_key = archive ? finding->artifacts[archive - spec->archives].key : NULL,
		.interpreter = finding->python_path,
		.python = &finding->python,
	};

	hash_requirements(&install, finding->required_hash);
}

static void hash_all(const struct offline *offline, struct finding *finding,
	char hash[SHA256_HEX_SIZE], struct hash_components *ret)
{
	const struct spec *spec = finding->spec;
	size_t count = spec->archive_count + spec->file_count, i;
	_cleanup_free_ struct hash_artifact *artifacts = new0_array(struct hash_artifact, count);
	const struct hash_required required = {
		.hash = finding->required_hash,
		.digest = finding->required_digest,
		.specifiers = finding->specifiers,
		.use_uv = hash_uses_uv(offline->may_use_uv, finding->needs_pip, finding->home),
	};
	const struct hash_parts parts = {
		.spec = spec,
		.artifacts = artifacts,
		.interpreter = finding->where.archive ? NULL : finding->python_path,
		.python = &finding->python,
		.required = spec->requirements.path ? &required : NULL,
		/* The dependency hash is over the values as well, and stands beside them: a
		 * secret key would hide nothing. */
		.salt = "",
	};

	if (spec->requirements.path)
		hash_install_of(finding, required.use_uv);
	for (i = 0; i < count; i++)
		artifacts[i] = (struct hash_artifact){
			finding->artifacts[i].key,
			finding->artifacts[i].digest,
		};
	hash_environment(&parts, hash, ret);
}

int offline_hash(const struct offline *offline, const struct spec *spec, char hash[SHA256_HEX_SIZE],
	struct hash_components *ret, struct error *err)
{
	_cleanup_(finding_deinit) struct finding finding = {
		.helper = offline->helper,
		.spec = spec,
	};
	int r;

	r = find_artifacts(&finding, err);
	if (r == 0 && spec->requirements.path)
		r = read_requirements(&finding, err);
	if (r == 0)
		r = find_python(&finding, err);
	if (r == 0)
		hash_all(offline, &finding, hash, ret);
	return r;
}
