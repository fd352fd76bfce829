/*
 * An installer writes into each script the path of the interpreter it installs for, and
 * into bin/activate the path of the environment. An archive brings those of the machine
 * that made it. The tree's place is final, so they are made right once, here.
 *
 * Which interpreter lines are meant is decided by the archive alone: no path that it
 * names is looked for on this host. They name a Python in a directory bin that is
 *
 *	- not a system's: #!/usr/bin/python3 and #!/usr/bin/env python3 mean what they say;
 *	- not the home that pyvenv.cfg names, which is the Python beneath the environment;
 *	- not this one.
 *
 * The script then starts the program of the same name in its own bin, or else python3 or
 * python there; without any of them it is left as it is. An environment that was moved
 * and added to on the way, so that its scripts name several places, comes out right.
 *
 * A file is replaced, never written in place, so that no other name of it changes. What
 * is a link is left alone. dist-info/RECORD still has the old digests, which installers
 * do not check when they remove a package.
 *
 * A private copy of the tree, in a lease's working directory, is at another path: its
 * scripts start the layer's interpreter.
 */
#include "daemon/worker/scripts.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <unistd.h>
#include "base/fs.h"
#include "base/utf8.h"
#include "daemon/worker/activate.h"
#include "daemon/worker/shebang.h"
#include "daemon/worker/virtualenv.h"

#define HOW (RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS)
#define CONFIG_LIMIT (64 * 1024) /* of pyvenv.cfg and activate; larger ones are neither */
#define CHUNK_SIZE (256 * 1024)

struct environment {
	char *root; /* "" or "venv/"; owned */
	char *prefix; /* absolute; owned; NULL: nothing is to be done */
	char *home; /* owned; NULL when pyvenv.cfg names none */
};

struct finishing {
	struct scripts *scripts;
	struct environment environment; /* the one at hand */
	struct sha256 *sha256;
	uint8_t *chunk;
};

/* ---- the environment */

static void environment_deinit(struct environment *environment)
{
	free(environment->root);
	free(environment->prefix);
	free(environment->home);
	*environment = (struct environment){ 0 };
}

/* Up to @size bytes from where @fd stands; or a negative errno. */
static ssize_t read_some(int fd, void *to, size_t size)
{
	size_t done = 0;
	ssize_t n;

	while (done < size && (n = read(fd, (uint8_t *)to + done, size - done))) {
		if (n < 0 && errno != EINTR)
			return -errno;
		done += n > 0 ? (size_t)n : 0;
	}
	return (ssize_t)done;
}

/* The beginning of a file of the tree, in finishing->chunk; and the file. */
static int read_start(struct finishing *finishing, const char *name, size_t size, int *ret_fd,
	size_t *ret_size, struct error *err)
{
	const struct scripts *scripts = finishing->scripts;
	_cleanup_close_ int fd = fs_openat2(scripts->tree_fd, name, O_RDONLY, 0, HOW);
	ssize_t n = fd < 0 ? fd : read_some(fd, finishing->chunk, size);

	if (n < 0)
		return fail_errno(
			err, (int)n, NULL, "cannot read '%s/tree/%s'", scripts->directory, name);
	*ret_fd = steal_fd(&fd);
	*ret_size = (size_t)n;
	return 0;
}

/* "home = /usr/bin", without blanks and slashes at the end; owned; NULL. */
static char *find_home(const char *config, size_t size)
{
	const char *end = config + size, *line, *next, *from, *to;

	for (line = config; line < end; line = next) {
		to = memchr(line, '\n', (size_t)(end - line));
		to = to ? to : end;
		next = to + 1;
		if (to - line < 5 || memcmp(line, "home", 4) != 0)
			continue;
		for (from = line + 4; from < to && (*from == ' ' || *from == '\t');)
			from++;
		if (from == to || *from++ != '=')
			continue;
		while (from < to && (*from == ' ' || *from == '\t'))
			from++;
		while (from < to && memchr(" \t\r/", to[-1], 5))
			to--;
		return text_format("%.*s", (int)(to - from), from);
	}
	return NULL;
}

/* What can stand in a shell's word and in a Python file. */
static bool is_writable(const char *path)
{
	const char *c;

	for (c = path; *c; c++)
		if ((unsigned char)*c < ' ' || *c == 127 || *c == '\\')
			return false;
	return utf8_is_valid(path, strlen(path));
}

/* Of @root, which it takes. */
static int environment_init(struct finishing *finishing, char *root, struct error *err)
{
	struct environment *environment = &finishing->environment;
	const struct scripts *scripts = finishing->scripts;
	_cleanup_free_ char *config = text_format("%spyvenv.cfg", root), *prefix = NULL;
	size_t n = strlen(root);
	_cleanup_close_ int fd = -1;
	int r;

	environment_deinit(environment);
	environment->root = root;
	prefix = text_format(
		"%s/tree%s%.*s", scripts->directory, n ? "/" : "", n ? (int)n - 1 : 0, root);
	if (!virtualenv_is_at(scripts->place, root) || !is_writable(prefix))
		return 0;
	r = read_start(finishing, config, CONFIG_LIMIT, &fd, &n, err);
	if (r)
		return r;
	environment->home = find_home((const char *)finishing->chunk, n);
	environment->prefix = STEAL(prefix);
	return 0;
}

/* ---- one file */

/* It becomes @start and what is left to be read of @fd. */
static int replace(struct finishing *finishing, const char *name, const struct buffer *start,
	int fd, struct error *err)
{
	struct scripts *scripts = finishing->scripts;
	struct place_entry *entry;
	struct place_file file;
	struct stat st;
	ssize_t n = 1;
	int r;

	if (fstat(fd, &st))
		return fail_errno(
			err, -errno, NULL, "cannot read '%s/tree/%s'", scripts->directory, name);
	r = place_replace(scripts->place, name, st.st_mtime, &entry, err);
	if (r)
		return r;
	place_file_init(&file, scripts->place, entry, finishing->sha256);
	r = place_file_write(&file, start->data, start->size, err);
	while (r == 0 && n) {
		n = read_some(fd, finishing->chunk, CHUNK_SIZE);
		if (n < 0)
			r = fail_errno(err, (int)n, NULL, "cannot read '%s/tree/%s'",
				scripts->directory, name);
		else if (n)
			r = place_file_write(&file, finishing->chunk, (size_t)n, err);
	}
	if (r == 0)
		r = place_file_end(&file, err);
	place_file_abandon(&file);
	scripts->rewritten += r == 0;
	return r;
}

static bool is_foreign(const struct environment *environment, const char *directory)
{
	static const char *const systems[] = { "/bin", "/usr/bin", "/usr/local/bin" };
	size_t i, n = strlen(environment->prefix);

	for (i = 0; i < ARRAY_SIZE(systems); i++)
		if (text_equal(directory, systems[i]))
			return false;
	if (text_equal(directory, environment->home))
		return false;
	if (text_starts_with(directory, environment->prefix) && text_equal(directory + n, "/bin"))
		return false;
	return text_ends_with(directory, "/bin");
}

/* What to start instead of @interpreter; owned; NULL: that one. */
static char *choose(const struct finishing *finishing, const char *interpreter)
{
	const struct environment *environment = &finishing->environment;
	const char *name = strrchr(interpreter, '/') + 1;
	_cleanup_free_ char *directory = text_format(
		"%.*s", (int)(name - 1 - interpreter), interpreter);
	const char *const names[] = { name, "python3", "python" };
	size_t i;

	if (!virtualenv_is_python(name) || !is_foreign(environment, directory))
		return NULL;
	for (i = 0; i < ARRAY_SIZE(names); i++) {
		_cleanup_free_ char *entry = text_format("%sbin/%s", environment->root, names[i]);
		enum place_type type = place_type_of(finishing->scripts->place, entry);

		if (type == PLACE_FILE || type == PLACE_SYMLINK)
			return text_format("%s/bin/%s", environment->prefix, names[i]);
	}
	return NULL;
}

static int finish_script(struct finishing *finishing, const char *name, struct error *err)
{
	_cleanup_(shebang_deinit) struct shebang shebang = { 0 };
	_cleanup_buffer_ struct buffer start = { 0 };
	_cleanup_free_ char *interpreter = NULL;
	_cleanup_close_ int fd = -1;
	size_t size;
	int r;

	r = read_start(finishing, name, SHEBANG_SIZE, &fd, &size, err);
	if (r || !shebang_parse((const char *)finishing->chunk, size, &shebang))
		return r;
	interpreter = choose(finishing, shebang.interpreter);
	if (!interpreter)
		return 0;
	shebang_format(&shebang, interpreter, &start);
	if (lseek(fd, (off_t)shebang.size, SEEK_SET) < 0)
		return fail_errno(err, -errno, NULL, "cannot read '%s/tree/%s'",
			finishing->scripts->directory, name);
	return replace(finishing, name, &start, fd, err);
}

static int finish_activate(struct finishing *finishing, const char *name, struct error *err)
{
	_cleanup_buffer_ struct buffer text = { 0 };
	_cleanup_close_ int fd = -1;
	size_t size;
	int r;

	r = read_start(finishing, name, CONFIG_LIMIT, &fd, &size, err);
	if (r || size == CONFIG_LIMIT)
		return r;
	if (!activate_retarget(
		    (const char *)finishing->chunk, size, finishing->environment.prefix, &text))
		return 0;
	return replace(finishing, name, &text, fd, err);
}

/* ---- all */

static bool is_activate(const char *file)
{
	return text_equal(file, "activate") || text_equal(file, "activate.csh") ||
		text_equal(file, "activate.fish");
}

/* "venv/bin/foo" -> "bin/foo"; NULL when it lies elsewhere. */
static const char *find_bin(const char *name)
{
	const char *slash = strrchr(name, '/');

	if (!slash || slash - name < 3 || memcmp(slash - 3, "bin", 3) != 0)
		return NULL;
	return slash - 3 == name || slash[-4] == '/' ? slash - 3 : NULL;
}

static int finish_file(struct finishing *finishing, const char *name, struct error *err)
{
	const struct environment *environment = &finishing->environment;
	const char *bin = find_bin(name);
	_cleanup_free_ char *root = bin ? text_format("%.*s", (int)(bin - name), name) : NULL;
	int r = 0;

	if (!bin)
		return 0;
	if (!environment->root || !text_equal(environment->root, root))
		r = environment_init(finishing, STEAL(root), err);
	if (r || !environment->prefix)
		return r;
	if (is_activate(bin + strlen("bin/")))
		return finish_activate(finishing, name, err);
	return finish_script(finishing, name, err);
}

int scripts_finish(struct scripts *scripts, struct error *err)
{
	_cleanup_(sha256_freep) struct sha256 *sha256 = sha256_new();
	_cleanup_free_ uint8_t *chunk = alloc0(1, CHUNK_SIZE);
	struct finishing finishing = { .scripts = scripts, .sha256 = sha256, .chunk = chunk };
	size_t i, count = place_sort(scripts->place);
	int r = 0;

	/* What is replaced comes behind these. */
	for (i = 0; i < count && r == 0; i++) {
		struct place_view view = place_get(scripts->place, i);

		if (view.name && view.type == PLACE_FILE)
			r = finish_file(&finishing, view.name, err);
	}
	environment_deinit(&finishing.environment);
	return r;
}
