#include "proto/hash.h"

#include <endian.h>

struct encoder {
	struct sha256 *sha256; /* owned */
};

static void begin(struct encoder *encoder, const char *what)
{
	encoder->sha256 = sha256_new();
	sha256_add(encoder->sha256, what, strlen(what) + 1);
}

static void add_bytes(struct encoder *encoder, const void *data, size_t size)
{
	uint64_t length = htole64(size);

	sha256_add(encoder->sha256, &length, sizeof(length));
	sha256_add(encoder->sha256, data, size);
}

/* NULL is told apart from "". */
static void add_text(struct encoder *encoder, const char *text)
{
	uint8_t there = text != NULL;

	sha256_add(encoder->sha256, &there, 1);
	if (text)
		add_bytes(encoder, text, strlen(text));
}

static void add_number(struct encoder *encoder, uint64_t number)
{
	number = htole64(number);
	sha256_add(encoder->sha256, &number, sizeof(number));
}

static void end(struct encoder *encoder, char ret[SHA256_HEX_SIZE])
{
	uint8_t digest[SHA256_SIZE];

	sha256_end(encoder->sha256, digest);
	sha256_free(encoder->sha256);
	hex_format(digest, sizeof(digest), ret);
}

const char *hash_layer_kind(enum job_layer layer)
{
	static const char *const kinds[] = {
		[JOB_LAYER_ARCHIVE] = "archive",
		[JOB_LAYER_FILE] = "file",
		[JOB_LAYER_DIRECTORY] = "directory",
		[JOB_LAYER_REQUIREMENTS] = "requirements",
	};

	return kinds[layer];
}

static const char *compile_name(enum job_compile compile)
{
	static const char *const names[] = {
		[JOB_COMPILE_VIRTUALENVS] = "virtualenvs",
		[JOB_COMPILE_ALWAYS] = "always",
		[JOB_COMPILE_NEVER] = "never",
	};

	return names[compile];
}

void hash_layer_key(const struct hash_layer *layer, char ret[SHA256_HEX_SIZE])
{
	struct encoder encoder;

	/* A number for each kind: it goes up when equal content would become another layer,
	 * so that those of an older pyenvd are not taken for ours. Archives: 2 makes the
	 * paths right that virtualenvs and conda environments have in files. */
	begin(&encoder, layer->layer == JOB_LAYER_ARCHIVE ? "pyenvd layer 2" : "pyenvd layer 1");
	add_text(&encoder, hash_layer_kind(layer->layer));
	add_text(&encoder, layer->name);
	add_text(&encoder, layer->digest);
	if (layer->layer == JOB_LAYER_ARCHIVE)
		add_text(&encoder, compile_name(layer->compile));
	end(&encoder, ret);
}

bool hash_uses_uv(bool may_use_uv, bool needs_pip, const char *home)
{
	/* It does not set PYTHONHOME for the interpreters that it asks. */
	return may_use_uv && !needs_pip && !home;
}

void hash_requirements(const struct hash_install *install, char ret[SHA256_HEX_SIZE])
{
	const struct job_python *python = install->python;
	const struct spec *spec = install->spec;
	struct encoder encoder;

	begin(&encoder, "pyenvd requirements 1");
	add_text(&encoder, install->digest);
	add_number(&encoder, spec->requirements.packages != NULL);
	add_text(&encoder, install->use_uv ? "uv" : "pip");
	add_text(&encoder, compile_name(spec->compile));
	add_text(&encoder, install->archive_key);
	add_text(&encoder, install->archive_key ? spec->python : install->interpreter);
	add_text(&encoder, python->implementation);
	add_text(&encoder, python->version);
	add_text(&encoder, python->abi);
	add_text(&encoder, python->platform);
	end(&encoder, ret);
}

void hash_requirements_layer(
	const char *requirements, const char *python_path, char ret[SHA256_HEX_SIZE])
{
	struct encoder encoder;

	begin(&encoder, "pyenvd layer 1");
	add_text(&encoder, hash_layer_kind(JOB_LAYER_REQUIREMENTS));
	add_text(&encoder, requirements);
	add_text(&encoder, python_path);
	end(&encoder, ret);
}

void hash_components_deinit(struct hash_components *components)
{
	size_t i;

	for (i = 0; i < components->count; i++) {
		free(components->rows[i].name);
		free(components->rows[i].value);
	}
	free(components->rows);
	*components = (struct hash_components){ 0 };
}

static void add_component(
	struct hash_components *components, const char *kind, const char *name, const char *value)
{
	if (components->count == components->allocated) {
		components->allocated = 2 * components->allocated + 16;
		components->rows = reallocarray(
			components->rows, components->allocated, sizeof(*components->rows));
		if (!components->rows)
			abort();
	}
	components->rows[components->count++] = (struct hash_component){
		.kind = kind,
		.name = text_copy(name),
		.value = text_copy(value),
	};
}

static void hide(const char *salt, const char *value, char ret[SHA256_HEX_SIZE])
{
	struct encoder encoder;

	begin(&encoder, "pyenvd value 1");
	add_text(&encoder, salt);
	add_text(&encoder, value);
	end(&encoder, ret);
}

struct placed {
	const char *target;
	const struct hash_artifact *artifact;
};

static int compare_placed(const void *a, const void *b)
{
	return strcmp(((const struct placed *)a)->target, ((const struct placed *)b)->target);
}

/* A set: sorted by where they go. Owned. */
static struct placed *sort_archives(const struct hash_parts *parts)
{
	const struct spec *spec = parts->spec;
	struct placed *placed = new0_array(struct placed, spec->archive_count);
	size_t i;

	for (i = 0; i < spec->archive_count; i++)
		placed[i] = (struct placed){ spec->archives[i].target, &parts->artifacts[i] };
	qsort(placed, spec->archive_count, sizeof(*placed), compare_placed);
	return placed;
}

static void add_archives(
	struct encoder *encoder, const struct hash_parts *parts, struct hash_components *ret)
{
	_cleanup_free_ struct placed *placed = sort_archives(parts);
	size_t i;

	add_number(encoder, parts->spec->archive_count);
	for (i = 0; i < parts->spec->archive_count; i++) {
		add_text(encoder, placed[i].target);
		add_text(encoder, placed[i].artifact->key);
		add_component(ret, "archive", placed[i].target, placed[i].artifact->key);
	}
}

static void add_files(
	struct encoder *encoder, const struct hash_parts *parts, struct hash_components *ret)
{
	const struct spec *spec = parts->spec;
	size_t i;

	add_number(encoder, spec->file_count);
	for (i = 0; i < spec->file_count; i++) {
		const char *key = parts->artifacts[spec->archive_count + i].key;

		add_text(encoder, spec->files[i].name);
		add_text(encoder, key);
		add_component(ret, "python-file", spec->files[i].name, key);
	}
}

static void add_variables(struct encoder *encoder, const struct spec *spec, const char *salt,
	struct hash_components *ret)
{
	char hidden[SHA256_HEX_SIZE];
	size_t i;

	add_number(encoder, spec->variable_count);
	for (i = 0; i < spec->variable_count; i++) {
		add_text(encoder, spec->variables[i].name);
		add_text(encoder, spec->variables[i].value);
		hide(salt, spec->variables[i].value, hidden);
		add_component(ret, "variable", spec->variables[i].name, hidden);
	}
}

/* One on the host is its path and who is there: another version at the same path makes
 * another environment. One in an archive is identified by the archive's target, whose layer
 * is in the hash already, and the path in it. */
static void add_interpreter(
	struct encoder *encoder, const struct hash_parts *parts, struct hash_components *ret)
{
	const char *path = parts->interpreter ? parts->interpreter : parts->spec->python;
	const struct job_python *python = parts->python;
	_cleanup_free_ char *identity = NULL;

	add_text(encoder, path);
	if (*path)
		add_component(ret, "python", "", path);
	if (parts->interpreter) {
		identity = text_format("%s %s %s %s", python->implementation, python->version,
			python->abi, python->platform);
		add_component(ret, "python-identity", "", identity);
	}
	add_text(encoder, identity);
}

static const char *worker_name(enum spec_worker worker)
{
	static const char *const names[] = {
		[SPEC_WORKER_PROCESS] = "process",
		[SPEC_WORKER_DOCKER] = "docker",
	};

	return names[worker];
}

/* Comes last, and only where one was chosen: so what was hashed before one could be
 * is what it was. @ret may be NULL. */
static void add_worker(
	struct encoder *encoder, const struct spec *spec, struct hash_components *ret)
{
	if (!spec->worker_program)
		return;
	add_text(encoder, worker_name(spec->worker));
	add_text(encoder, spec->worker_program);
	if (ret)
		add_component(ret, "worker", worker_name(spec->worker), spec->worker_program);
}

/* One a line, each once. */
static void add_specifiers(struct hash_components *ret, const char *lines)
{
	size_t first = ret->count, n, i;

	for (; lines && *lines; lines += n + (lines[n] == '\n')) {
		_cleanup_free_ char *line = NULL;

		n = strcspn(lines, "\n");
		line = text_format("%.*s", (int)n, lines);
		for (i = first; i < ret->count && !text_equal(ret->rows[i].name, line);)
			i++;
		if (i == ret->count)
			add_component(ret, "requirement", line, "");
	}
}

/* What the values above were made from. */
static void add_details(const struct hash_parts *parts, struct hash_components *ret)
{
	_cleanup_free_ struct placed *placed = sort_archives(parts);
	const struct spec *spec = parts->spec;
	const struct hash_required *required = parts->required;
	size_t i;

	for (i = 0; i < spec->archive_count; i++)
		add_component(ret, "archive-content", placed[i].target, placed[i].artifact->digest);
	for (i = 0; i < spec->file_count; i++)
		add_component(ret, "python-file-content", spec->files[i].name,
			parts->artifacts[spec->archive_count + i].digest);
	if (spec->archive_count || spec->file_count || required)
		add_component(ret, "bytecode", "", compile_name(spec->compile));
	if (!required)
		return;
	add_component(ret, "requirements-content", "", required->digest);
	if (required->hash)
		add_component(ret, "installer", "", required->use_uv ? "uv" : "pip");
	add_specifiers(ret, required->specifiers);
}

void hash_environment(
	const struct hash_parts *parts, char hash[SHA256_HEX_SIZE], struct hash_components *ret)
{
	const struct spec *spec = parts->spec;
	const char *requirements = parts->required ? parts->required->hash : NULL;
	struct encoder encoder;

	*ret = (struct hash_components){ 0 };
	begin(&encoder, "pyenvd environment 3");
	add_archives(&encoder, parts, ret);
	add_files(&encoder, parts, ret);
	add_interpreter(&encoder, parts, ret);
	add_text(&encoder, requirements);
	if (requirements)
		add_component(ret, "requirements", "", requirements);
	add_text(&encoder, spec->python_path);
	if (*spec->python_path)
		add_component(ret, "python-path", "", spec->python_path);
	add_variables(&encoder, spec, parts->salt, ret);
	add_worker(&encoder, spec, ret);
	end(&encoder, hash);
	add_details(parts, ret);
}

/* Comes last, and only where there are any. */
static void add_uploads(struct encoder *encoder, const struct spec_upload *uploads, size_t count)
{
	size_t i;

	add_number(encoder, count);
	for (i = 0; i < count; i++) {
		add_text(encoder, uploads[i].name);
		add_text(encoder, uploads[i].digest);
	}
}

void hash_request(const struct spec *spec, const char *salt, char ret[SHA256_HEX_SIZE])
{
	struct encoder encoder;
	size_t i;

	begin(&encoder, "pyenvd request 2");
	add_text(&encoder, salt);
	add_text(&encoder, spec->label);
	add_number(&encoder, spec->archive_count);
	for (i = 0; i < spec->archive_count; i++) {
		add_text(&encoder, spec->archives[i].path);
		add_text(&encoder, spec->archives[i].target);
		add_number(&encoder, spec->archives[i].private_copy);
	}
	add_number(&encoder, spec->file_count);
	for (i = 0; i < spec->file_count; i++) {
		add_text(&encoder, spec->files[i].path);
		add_text(&encoder, spec->files[i].name);
	}
	add_text(&encoder, spec->requirements.path);
	add_text(&encoder, spec->requirements.packages);
	add_text(&encoder, spec->python);
	add_text(&encoder, spec->python_path);
	add_number(&encoder, spec->variable_count);
	for (i = 0; i < spec->variable_count; i++) {
		add_text(&encoder, spec->variables[i].name);
		add_text(&encoder, spec->variables[i].value);
	}
	add_text(&encoder, spec->base_path);
	add_text(&encoder, spec->base_python_path);
	add_number(&encoder, spec->compile);
	add_number(&encoder, spec->holder);
	add_number(&encoder, (uint64_t)spec->holder_pid);
	add_number(&encoder, spec->holder_seconds);
	add_number(&encoder, spec->holder_grace_ms);
	add_worker(&encoder, spec, NULL);
	if (spec->requirements.refresh)
		add_text(&encoder, "refresh");
	if (spec->requirements.file_count) {
		add_text(&encoder, "uploads");
		add_uploads(&encoder, spec->requirements.files, spec->requirements.file_count);
		add_uploads(&encoder, spec->requirements.package_files,
			spec->requirements.package_count);
	}
	if (spec->guardian_pid) {
		add_text(&encoder, "guardian");
		add_number(&encoder, (uint64_t)spec->guardian_pid);
	}
	end(&encoder, ret);
}

void hash_reader(const struct identity *identity, char ret[SHA256_HEX_SIZE])
{
	struct encoder encoder;

	begin(&encoder, "pyenvd reader 1");
	add_number(&encoder, identity->uid);
	add_number(&encoder, identity->gid);
	add_bytes(&encoder, identity->groups, identity->group_count * sizeof(gid_t));
	end(&encoder, ret);
}
