/*
 * One table of options: each is a flag and a key of the file, read by the same
 * parser into the same field. Flags are read after the file, and so win; where the
 * file is, is looked for among the flags first.
 */
#include "daemon/config.h"

#include <errno.h>
#include <getopt.h>
#include <ini.h>
#include <stddef.h>
#include <stdio.h>
#include <unistd.h>
#include "base/fs.h"

#define GIB (UINT64_C(1) << 30)
#define MIB (UINT64_C(1) << 20)
#define MAX_SECONDS 86400

struct option_row {
	const char *section, *name; /* the flag is the name with '-' for '_' */
	int (*parse)(const char *text, void *field);
	size_t offset; /* of the field in struct config */
	const char *argument, *help;
};

/* ---- parsers: 0 or a negative errno */

static int parse_path(const char *text, void *field)
{
	char **path = field;

	if (*text != '/')
		return -EINVAL;
	free(*path);
	*path = text_copy(text);
	return 0;
}

static int parse_name(const char *text, void *field)
{
	char **name = field;

	free(*name);
	*name = text_copy(text);
	return 0;
}

static int parse_size(const char *text, void *field)
{
	return parse_bytes(text, field);
}

static int parse_within(const char *text, uint64_t least, uint64_t most, uint32_t *ret)
{
	uint64_t value;
	int r;

	r = parse_u64(text, &value);
	if (r == 0 && (value < least || value > most))
		r = -ERANGE;
	if (r == 0)
		*ret = (uint32_t)value;
	return r;
}

static int parse_number(const char *text, void *field)
{
	return parse_within(text, 0, UINT32_MAX, field);
}

static int parse_count(const char *text, void *field)
{
	return parse_within(text, 1, 1024, field);
}

/* In whole seconds. */
static int parse_duration(const char *text, void *field)
{
	return parse_within(text, 1, MAX_SECONDS, field);
}

/* Into milliseconds. */
static int parse_seconds(const char *text, void *field)
{
	int r = parse_duration(text, field);

	if (r == 0)
		*(uint32_t *)field *= 1000;
	return r;
}

static int parse_entries(const char *text, void *field)
{
	return parse_u64(text, field);
}

static int parse_sharing(const char *text, void *field)
{
	if (!text_equal(text, "user") && !text_equal(text, "all"))
		return -EINVAL;
	*(bool *)field = text_equal(text, "all");
	return 0;
}

static int parse_installer(const char *text, void *field)
{
	static const struct {
		const char *name;
		enum core_installer installer;
	} names[] = {
		{ "auto", CORE_INSTALLER_AUTO },
		{ "uv", CORE_INSTALLER_UV },
		{ "pip", CORE_INSTALLER_PIP },
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(names); i++)
		if (text_equal(text, names[i].name)) {
			*(enum core_installer *)field = names[i].installer;
			return 0;
		}
	return -EINVAL;
}

static int parse_level(const char *text, void *field)
{
	return log_parse_level(text, field);
}

#define FIELD(f) offsetof(struct config, f)

static const struct option_row options[] = {
	{ "daemon", "state_dir", parse_path, FIELD(state_dir), "DIR",
		"where layers, leases and the index are" },
	{ "daemon", "socket", parse_path, FIELD(socket), "PATH", "the socket to listen on" },
	{ "daemon", "user", parse_name, FIELD(user), "NAME",
		"whom to become when started as root (pyenvd)" },
	{ "daemon", "socket_group", parse_name, FIELD(socket_group), "NAME",
		"the group that may connect, besides the user (pyenvd)" },
	{ "daemon", "admin_group", parse_name, FIELD(admin_group), "NAME",
		"the group whose members are administrators (none)" },
	{ "daemon", "worker_program", parse_path, FIELD(worker_program), "PATH",
		"the program that does the blocking work" },
	{ "daemon", "log_level", parse_level, FIELD(log_level), "LEVEL",
		"error, warning, info or debug (info)" },
	{ "daemon", "workers", parse_count, FIELD(workers), "N",
		"how many workers read archives at the same time" },
	{ "daemon", "threads", parse_count, FIELD(core.threads), "N",
		"how many threads one worker may use" },
	{ "store", "max_bytes", parse_size, FIELD(core.max_bytes), "BYTES",
		"remove what is unused when all is larger than this (0: never)" },
	{ "store", "sharing", parse_sharing, FIELD(core.share_all), "WHOM",
		"who may share a layer: user or all (user)" },
	{ "store", "reserve_bytes", parse_size, FIELD(core.limits.reserve_bytes), "BYTES",
		"leave this much of the disk free (16M)" },
	{ "install", "installer", parse_installer, FIELD(core.install.installer), "NAME",
		"for requirements: auto (uv if it is there), uv or pip (auto)" },
	{ "install", "uv", parse_path, FIELD(uv), "PATH",
		"the program uv (in /usr/local/bin, /usr/bin or the user's)" },
	{ "install", "index_url", parse_name, FIELD(index_url), "URL",
		"the package index, instead of PyPI" },
	{ "install", "extra_index_urls", parse_name, FIELD(extra_index_urls), "URLS",
		"more of them, separated by blanks" },
	{ "install", "install_users", parse_name, FIELD(install_users), "NAMES",
		"users to install as, one at a time each (pyenvd-install0 to 3)" },
	{ "install", "install_slots", parse_count, FIELD(core.install.slots), "N",
		"how many installs at the same time (4)" },
	{ "install", "install_timeout", parse_duration, FIELD(core.install.seconds), "SECONDS",
		"for one install, retries included (1800)" },
	{ "limits", "max_layer_bytes", parse_size, FIELD(core.limits.max_bytes), "BYTES",
		"of all files of one archive (64G)" },
	{ "limits", "max_layer_entries", parse_entries, FIELD(core.limits.max_entries), "N",
		"of one archive (2000000)" },
	{ "limits", "max_ratio", parse_number, FIELD(core.limits.max_ratio), "N",
		"of extracted bytes to archive bytes, beyond 1G (200)" },
	{ "limits", "max_leases", parse_number, FIELD(core.max_leases), "N",
		"of one user (100000)" },
	{ "limits", "max_creates", parse_number, FIELD(core.max_creates), "N",
		"of one user, in flight (1024)" },
	{ "limits", "max_uploads", parse_number, FIELD(core.max_uploads), "N",
		"of one user, in flight (16)" },
	{ "limits", "upload_timeout", parse_seconds, FIELD(core.upload_timeout_ms), "SECONDS",
		"for the next bytes of an upload (60)" },
	{ "limits", "max_connections", parse_number, FIELD(max_connections), "N",
		"at the same time (1024)" },
	{ "limits", "max_streams", parse_number, FIELD(max_streams), "N",
		"calls of one connection at the same time (256)" },
	{ "limits", "open_timeout", parse_seconds, FIELD(open_timeout_ms), "SECONDS",
		"for opening a source (30)" },
	{ "limits", "idle_timeout", parse_seconds, FIELD(idle_timeout_ms), "SECONDS",
		"after which a connection without calls is closed (3600)" },
};

static int set_option(struct config *config, const struct option_row *row, const char *value,
	const char *where, struct error *err)
{
	int r;

	r = row->parse(value, (char *)config + row->offset);
	if (r == -ERANGE)
		return fail(err, -EINVAL, NULL, "%s: '%s' is out of range", where, value);
	if (r)
		return fail(err, -EINVAL, NULL, "%s: '%s' is not a %s", where, value,
			text_equal(row->argument, "PATH") || text_equal(row->argument, "DIR")
				? "absolute path"
				: "valid value");
	return 0;
}

/* ---- the file */

struct reading {
	struct config *config;
	const char *path;
	struct error *err;
};

static int on_key(void *data, const char *section, const char *name, const char *value)
{
	struct reading *reading = data;
	char where[512];
	size_t i;

	snprintf(where, sizeof(where), "%s: [%s] %s", reading->path, section, name);
	for (i = 0; i < ARRAY_SIZE(options); i++)
		if (text_equal(section, options[i].section) && text_equal(name, options[i].name))
			return set_option(reading->config, &options[i], value, where,
				       reading->err) == 0;
	fail(reading->err, -EINVAL, NULL, "%s: there is no key '%s' in a section [%s]",
		reading->path, name, section);
	return 0;
}

static int read_file(struct config *config, const char *path, bool must_exist, struct error *err)
{
	struct reading reading = { config, path, err };
	int r;

	if (!must_exist && access(path, F_OK))
		return 0;
	r = ini_parse(path, on_key, &reading);
	if (r == -1)
		return fail_errno(err, -errno, NULL, "cannot read the configuration '%s'", path);
	if (r > 0 && !err->r)
		return fail(
			err, -EINVAL, NULL, "%s:%d: neither a section nor 'key = value'", path, r);
	return r ? err->r : 0;
}

/* ---- defaults */

static const char *get_variable(const char *name)
{
	const char *value = getenv(name);

	return value && *value == '/' ? value : NULL;
}

/* systemd gives a list; ours is the first. */
static char *first_directory(const char *list)
{
	char *copy = text_copy(list);

	copy[strcspn(copy, ":")] = 0;
	return copy;
}

static void default_paths(struct config *config, bool is_root)
{
	const char *state = get_variable("STATE_DIRECTORY");
	const char *run = get_variable("RUNTIME_DIRECTORY");
	const char *home = get_variable("HOME");
	_cleanup_free_ char *first = run ? first_directory(run) : NULL;

	if (state)
		config->state_dir = first_directory(state);
	else if (is_root)
		config->state_dir = text_copy("/var/lib/pyenvd");
	else if (get_variable("XDG_STATE_HOME"))
		config->state_dir = text_format("%s/pyenvd", get_variable("XDG_STATE_HOME"));
	else if (home)
		config->state_dir = text_format("%s/.local/state/pyenvd", home);

	if (first)
		config->socket = text_format("%s/pyenvd.sock", first);
	else if (is_root)
		config->socket = text_copy("/run/pyenvd/pyenvd.sock");
	else if (get_variable("XDG_RUNTIME_DIR"))
		config->socket = text_format(
			"%s/pyenvd/pyenvd.sock", get_variable("XDG_RUNTIME_DIR"));
}

static char *default_file(bool is_root)
{
	const char *home = get_variable("HOME");

	if (is_root)
		return text_copy("/etc/pyenvd/pyenvd.conf");
	if (get_variable("XDG_CONFIG_HOME"))
		return text_format("%s/pyenvd/pyenvd.conf", get_variable("XDG_CONFIG_HOME"));
	return text_format("%s/.config/pyenvd/pyenvd.conf", home ? home : "");
}

static uint32_t count_cpus(void)
{
	long n = sysconf(_SC_NPROCESSORS_ONLN);

	return n < 1 ? 1 : n > 64 ? 64 : (uint32_t)n;
}

static void set_defaults(struct config *config, bool is_root)
{
	*config = (struct config){
		.user = text_copy(is_root ? "pyenvd" : ""),
		.socket_group = text_copy(is_root ? "pyenvd" : ""),
		.admin_group = text_copy(""),
		.worker_program = text_copy(PYENVD_WORKER_PROGRAM),
		.workers = count_cpus() < 2 ? 2 : count_cpus(),
		.open_timeout_ms = 30000,
		.idle_timeout_ms = 3600 * 1000,
		.max_connections = 1024,
		.max_streams = 256,
		.log_level = LOG_LEVEL_INFO,
		.core = {
			.threads = count_cpus(),
			.max_leases = 100000,
			.max_creates = 1024,
			.max_uploads = 16,
			.upload_timeout_ms = 60000,
			.install = { .slots = 4, .seconds = 1800 },
			.limits = {
				.max_bytes = 64 * GIB,
				.max_entries = 2000000,
				.max_depth = 256,
				.max_name = 4095,
				.max_ratio = 200,
				.ratio_floor_bytes = GIB,
				.reserve_bytes = 16 * MIB,
			},
		},
	};
	default_paths(config, is_root);
}

/* ---- flags */

enum {
	FLAG_CONFIG = 256,
	FLAG_HELP,
	FLAG_VERSION,
	FLAG_OPTIONS, /* the rows of the table from here on */
};

#define OPTION_COUNT ARRAY_SIZE(options)

static void make_flags(struct option flags[OPTION_COUNT + 4], char names[OPTION_COUNT][32])
{
	size_t i;
	char *c;

	for (i = 0; i < OPTION_COUNT; i++) {
		snprintf(names[i], 32, "%s", options[i].name);
		while ((c = strchr(names[i], '_')))
			*c = '-';
		flags[i] = (struct option){ names[i], required_argument, NULL,
			FLAG_OPTIONS + (int)i };
	}
	flags[i++] = (struct option){ "config", required_argument, NULL, FLAG_CONFIG };
	flags[i++] = (struct option){ "help", no_argument, NULL, FLAG_HELP };
	flags[i++] = (struct option){ "version", no_argument, NULL, FLAG_VERSION };
	flags[i] = (struct option){ 0 };
}

static void show_help(void)
{
	char names[OPTION_COUNT][32];
	struct option flags[OPTION_COUNT + 4];
	size_t i;

	make_flags(flags, names);
	printf("Usage: pyenvd [OPTION…]\n\n"
	       "Prepares Python environments once for every task on this host.\n\n");
	printf("  --%-28s %s\n", "config FILE", "read this configuration");
	for (i = 0; i < OPTION_COUNT; i++) {
		_cleanup_free_ char *usage = text_format("%s %s", names[i], options[i].argument);

		printf("  --%-28s %s\n", usage, options[i].help);
	}
	printf("  --%-28s %s\n  --%-28s %s\n", "help", "show this", "version", "show the version");
}

/* Calls getopt_long() over all flags; @config NULL: only looks for --config. */
static int walk_flags(
	struct config *config, int argc, char **argv, const char **file, struct error *err)
{
	struct option flags[OPTION_COUNT + 4];
	char names[OPTION_COUNT][32], where[64];
	int c, r;

	make_flags(flags, names);
	optind = 0;
	opterr = 0;
	while ((c = getopt_long(argc, argv, ":", flags, NULL)) != -1) {
		if (c == '?' || c == ':')
			return fail(err, -EINVAL, NULL, "%s: %s; see 'pyenvd --help'",
				argv[optind - 1],
				c == ':' ? "a value is missing" : "there is no such option");
		if (c == FLAG_CONFIG) {
			*file = optarg;
		} else if (c == FLAG_HELP && !config) {
			show_help();
			return CONFIG_E_SHOWN;
		} else if (c == FLAG_VERSION && !config) {
			printf("pyenvd %s\n", PYENVD_VERSION);
			return CONFIG_E_SHOWN;
		} else if (c >= FLAG_OPTIONS && config) {
			snprintf(where, sizeof(where), "--%s", names[c - FLAG_OPTIONS]);
			r = set_option(config, &options[c - FLAG_OPTIONS], optarg, where, err);
			if (r)
				return r;
		}
	}
	if (optind < argc)
		return fail(err, -EINVAL, NULL, "'%s' is not an option; see 'pyenvd --help'",
			argv[optind]);
	return 0;
}

int config_parse(struct config *config, int argc, char **argv, struct error *err)
{
	bool is_root = geteuid() == 0;
	_cleanup_free_ char *standard = default_file(is_root);
	const char *file = NULL;
	int r;

	set_defaults(config, is_root);
	r = walk_flags(NULL, argc, argv, &file, err);
	if (r == 0)
		r = read_file(config, file ? file : standard, file != NULL, err);
	if (r == 0)
		r = walk_flags(config, argc, argv, &file, err);
	if (r)
		return r;
	if (!config->state_dir)
		return fail(err, -EINVAL, NULL,
			"no state directory: give --state-dir, or set XDG_STATE_HOME or HOME");
	if (!config->socket)
		return fail(err, -EINVAL, NULL, "no socket: give --socket, or set XDG_RUNTIME_DIR");
	return config_finish_install(config, is_root, err);
}

void config_deinit(struct config *config)
{
	free(config->state_dir);
	free(config->socket);
	free(config->worker_program);
	free(config->user);
	free(config->socket_group);
	free(config->admin_group);
	free(config->uv);
	free(config->index_url);
	free(config->extra_index_urls);
	free(config->install_users);
	*config = (struct config){ 0 };
}
