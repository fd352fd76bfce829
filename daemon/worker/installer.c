#include "daemon/worker/installer.h"

#include <errno.h>

struct words {
	char **at;
	size_t count;
};

static void add(struct words *words, char *word)
{
	if (words->count + 1 >= INSTALLER_MAX_WORDS)
		abort();
	words->at[words->count++] = word;
}

static void add_all(struct words *words, const char *const *more)
{
	for (; *more; more++)
		add(words, text_copy(*more));
}

/* ---- what they are told */

static void add_sources(const struct installer *installer, struct words *argv)
{
	add(argv, text_copy("-r"));
	add(argv, text_format("%s/requirements.txt", installer->source));
	if (!installer->is_offline)
		return;
	add(argv, text_copy("--no-index"));
	add(argv, text_copy("--find-links"));
	add(argv, text_format("%s/packages", installer->source));
}

/* The cache is in the scratch directory, on the layer's disk, and goes with it before the
 * tree is taken over: then every file has one name again. */
static void tell_uv(const struct installer *installer, struct words *argv)
{
	static const char *const options[] = { "pip", "install", "--no-progress", "--no-config",
		"--no-python-downloads", "--link-mode", "hardlink", NULL };

	add(argv, text_copy(installer->uv));
	add_all(argv, options);
	if (installer->is_offline)
		add(argv, text_copy("--offline"));
	add(argv, text_copy("--python"));
	add(argv, text_copy(installer->python));
	add(argv, text_copy("--prefix"));
	add(argv, text_copy(installer->tree));
	add_sources(installer, argv);
}

/* --ignore-installed: what the interpreter has of its own is not what was asked for. */
static void tell_pip(const struct installer *installer, struct words *argv)
{
	static const char *const options[] = { "-s", "-m", "pip", "install", "--ignore-installed",
		"--no-compile", "--no-input", "--no-cache-dir", "--no-warn-script-location",
		"--disable-pip-version-check", "--progress-bar", "off", NULL };

	add(argv, text_copy(installer->python));
	add_all(argv, options);
	add(argv, text_copy("--log"));
	add(argv, text_format("%s/" INSTALLER_PIP_LOG, installer->scratch));
	add(argv, text_copy("--prefix"));
	add(argv, text_copy(installer->tree));
	add_sources(installer, argv);
}

static void add_index(const struct installer *installer, struct words *environment)
{
	bool is_uv = installer->kind == INSTALLER_UV;

	if (installer->is_offline)
		return;
	if (installer->index_url)
		add(environment,
			text_format("%s=%s", is_uv ? "UV_DEFAULT_INDEX" : "PIP_INDEX_URL",
				installer->index_url));
	if (installer->extra_index_urls)
		add(environment,
			text_format("%s=%s", is_uv ? "UV_INDEX" : "PIP_EXTRA_INDEX_URL",
				installer->extra_index_urls));
}

void installer_prepare(const struct installer *installer, struct installer_command *ret)
{
	static const char *const common[] = { "PATH=/usr/local/bin:/usr/bin:/bin", "LC_ALL=C.UTF-8",
		"PYTHONNOUSERSITE=1", "PYTHONDONTWRITEBYTECODE=1", "PIP_CONFIG_FILE=/dev/null",
		"PIP_ROOT_USER_ACTION=ignore", "NO_COLOR=1", NULL };
	struct words argv = { ret->argv, 0 }, environment = { ret->environment, 0 };

	*ret = (struct installer_command){ 0 };
	if (installer->kind == INSTALLER_UV)
		tell_uv(installer, &argv);
	else
		tell_pip(installer, &argv);
	add_all(&environment, common);
	add(&environment, text_format("HOME=%s", installer->scratch));
	add(&environment, text_format("TMPDIR=%s", installer->scratch));
	add(&environment, text_format("UV_CACHE_DIR=%s/cache", installer->scratch));
	if (installer->home)
		add(&environment, text_format("PYTHONHOME=%s", installer->home));
	add_index(installer, &environment);
}

void installer_command_deinit(struct installer_command *command)
{
	size_t i;

	for (i = 0; i < INSTALLER_MAX_WORDS; i++) {
		free(command->argv[i]);
		free(command->environment[i]);
	}
	*command = (struct installer_command){ 0 };
}

/* ---- what they mean */

static const struct installer_failure no_space = {
	-ENOSPC,
	"NO_SPACE",
	"the disk is full",
	false,
};
static const struct installer_failure bad_hash = {
	-EBADMSG,
	"HASH_MISMATCH",
	"a package is not the one that the requirements name (its hash differs)",
	false,
};
static const struct installer_failure refused = {
	-EBUSY,
	"INDEX_REFUSED",
	"the package index refuses us (see the daemon's index_url)",
	false,
};
static const struct installer_failure network = {
	-ETIMEDOUT,
	"NETWORK_FAILED",
	"the package index cannot be reached, or fails",
	true,
};
static const struct installer_failure build = {
	-EINVAL,
	"BUILD_FAILED",
	"a package could not be built",
	false,
};
static const struct installer_failure no_package = {
	-ENOENT,
	"PACKAGE_NOT_FOUND",
	"there is no such package",
	false,
};
static const struct installer_failure no_version = {
	-ENOENT,
	"VERSION_NOT_FOUND",
	"there is no version that fits",
	false,
};
static const struct installer_failure other = {
	-EIO,
	"INSTALL_FAILED",
	"the installer failed",
	false,
};

/*
 * The first that is found counts: causes stand before what they lead to. Both quote what a
 * build has printed, indented; that is other people's text, and is passed over.
 */
static const struct {
	const char *text;
	const struct installer_failure *failure;
} meanings[] = {
	{ "DO NOT MATCH THE HASHES", &bad_hash },
	{ "Hash mismatch for", &bad_hash },
	{ "error: subprocess-exited-with-error", &build },
	{ "error: metadata-generation-failed", &build },
	{ "did not run successfully", &build },
	{ "Failed to build", &build },
	{ "Failed to download and build", &build },
	{ "returned an error", &build },
	{ "lack of valid authentication", &refused },
	{ "403 Forbidden", &refused },
	{ "401 Unauthorized", &refused },
	{ "401 Error", &refused },
	{ "401 Client Error", &refused },
	{ "403 Client Error", &refused },
	{ "404 Client Error", &no_package },
	{ "404 Not Found", &no_package },
	{ "(from versions: none)", &no_package },
	{ "was not found in the package registry", &no_package },
	{ "was not found in the provided package locations", &no_package },
	{ "Could not find a version", &no_version },
	{ "No matching distribution found", &no_version },
	{ "requires a different Python", &no_version },
	{ "ResolutionImpossible", &no_version },
	{ "No solution found when resolving", &no_version },
	{ "Max retries exceeded", &network },
	{ "connection-timeout", &network },
	{ "incomplete-download", &network },
	{ "IncompleteRead", &network },
	{ "Read timed out", &network },
	{ "HTTP status server error", &network },
	{ "429 Too Many Requests", &network },
	{ "tcp connect error", &network },
	{ "dns error", &network },
	{ "operation timed out", &network },
	{ "end of file before message length", &network },
	{ "error sending request", &network },
	{ "Failed to fetch", &network },
};

static const char *find_end(const char *line)
{
	return strchrnul(line, '\n');
}

static bool has_own_line(const char *output, const char *text)
{
	const char *line, *found;

	for (line = output; *line; line = find_end(line) + (*find_end(line) == '\n')) {
		found = strstr(line, text);
		if (!found)
			return false;
		if (found < find_end(line) && strncmp(line, "    ", 4) != 0)
			return true;
	}
	return false;
}

/* pip says of an index that it could not hear what it says of a package that is not there. */
static const struct installer_failure *understand_log(const char *log)
{
	static const char mark[] = "Could not fetch URL ";
	const char *at;

	for (at = strstr(log, mark); at; at = strstr(at + 1, mark)) {
		_cleanup_free_ char *line = text_format("%.*s", (int)(find_end(at) - at), at);

		if (strstr(line, "401 Client Error") || strstr(line, "403 Client Error"))
			return &refused;
		if (!strstr(line, "404 Client Error"))
			return &network;
	}
	return NULL;
}

const struct installer_failure *installer_understand(const char *output, const char *log)
{
	const struct installer_failure *failure = &other, *cause;
	size_t i;

	/* Also where a build says so: it is no fault of the package's. */
	if (strstr(output, "No space left on device"))
		return &no_space;
	for (i = 0; i < ARRAY_SIZE(meanings) && failure == &other; i++)
		if (has_own_line(output, meanings[i].text))
			failure = meanings[i].failure;
	cause = failure == &no_package || failure == &no_version ? understand_log(log) : NULL;
	return cause ? cause : failure;
}
