#include "tests/support/trees.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>
#include "base/sha256.h"

struct lines {
	char **rows;
	size_t count;
};

static void add_line(struct lines *lines, struct buffer *line)
{
	lines->rows = realloc(lines->rows, (lines->count + 1) * sizeof(char *));
	lines->rows[lines->count++] = buffer_steal_text(line);
}

static int compare(const void *a, const void *b)
{
	const char *x = *(char *const *)a, *y = *(char *const *)b;
	size_t n = strcspn(x, "\t"), m = strcspn(y, "\t");
	int r = memcmp(x, y, n < m ? n : m);

	return r ? r : n < m ? -1 : n > m;
}

static char *join(struct lines *lines)
{
	struct buffer all = { 0 };
	size_t i;

	qsort(lines->rows, lines->count, sizeof(char *), compare);
	for (i = 0; i < lines->count; i++) {
		buffer_append_text(&all, lines->rows[i]);
		free(lines->rows[i]);
	}
	free(lines->rows);
	return buffer_steal_text(&all);
}

static void describe_file(int dir, const char *name, const struct stat *st, struct buffer *line)
{
	_cleanup_(sha256_freep) struct sha256 *sha256 = sha256_new();
	_cleanup_close_ int fd = openat(dir, name, O_RDONLY | O_CLOEXEC);
	char buffer[65536], hex[SHA256_HEX_SIZE];
	uint8_t digest[SHA256_SIZE];
	ssize_t n;

	while ((n = read(fd, buffer, sizeof(buffer))) > 0)
		sha256_add(sha256, buffer, (size_t)n);
	sha256_end(sha256, digest);
	hex_format(digest, sizeof(digest), hex);
	buffer_format(line, "\tf\t%o\t%lld\t%lld\t%s\n", st->st_mode & 07777,
		(long long)st->st_mtime, (long long)st->st_size, hex);
}

static void describe(int dir, const char *prefix, struct lines *lines)
{
	DIR *stream = fdopendir(dir);
	struct dirent *entry;

	while (stream && (entry = readdir(stream))) {
		_cleanup_free_ char *path = text_format("%s%s", prefix, entry->d_name);
		_cleanup_free_ char *below = text_format("%s/", path);
		struct buffer line = { 0 };
		char target[4097] = "";
		struct stat st;

		if (text_equal(entry->d_name, ".") || text_equal(entry->d_name, ".."))
			continue;
		if (fstatat(dir, entry->d_name, &st, AT_SYMLINK_NOFOLLOW))
			abort();
		buffer_append_text(&line, path);
		if (S_ISDIR(st.st_mode)) {
			buffer_format(&line, "\td\t%o\t%lld\n", st.st_mode & 07777,
				(long long)st.st_mtime);
			describe(fs_open_directory(dir, entry->d_name), below, lines);
		} else if (S_ISLNK(st.st_mode)) {
			if (readlinkat(dir, entry->d_name, target, sizeof(target) - 1) < 0)
				abort();
			buffer_format(&line, "\tl\t%s\t%lld\n", target, (long long)st.st_mtime);
		} else {
			describe_file(dir, entry->d_name, &st, &line);
		}
		add_line(lines, &line);
	}
	closedir(stream);
}

char *trees_describe(const char *path)
{
	struct lines lines = { 0 };

	describe(fs_open_directory(AT_FDCWD, path), "", &lines);
	return join(&lines);
}

/* ---- manifests */

/* \ooo and nothing else; up to a space. */
static void unescape(const char *text, struct buffer *ret)
{
	for (; *text && *text != ' ' && *text != '\n'; text++) {
		unsigned byte = (unsigned char)*text;
		uint8_t c;

		if (*text == '\\' && sscanf(text + 1, "%3o", &byte) == 1)
			text += 3;
		c = (uint8_t)byte;
		buffer_append(ret, &c, 1);
	}
}

/* The value of @key, as it was before it was escaped; owned. */
static char *find_word(const char *line, const char *key)
{
	_cleanup_free_ char *wanted = text_format(" %s=", key);
	const char *at = strstr(line, wanted);
	struct buffer value = { 0 };

	if (at)
		unescape(at + strlen(wanted), &value);
	return buffer_steal_text(&value);
}

static void describe_line(const char *text, struct lines *lines)
{
	_cleanup_free_ char *type = find_word(text, "type"), *mode = find_word(text, "mode");
	_cleanup_free_ char *time = find_word(text, "time"), *link = find_word(text, "link");
	_cleanup_free_ char *size = find_word(text, "size");
	_cleanup_free_ char *digest = find_word(text, "sha256digest");
	struct buffer line = { 0 };

	time[strcspn(time, ".")] = 0;
	unescape(text + 2, &line);
	if (text_equal(type, "link"))
		buffer_format(&line, "\tl\t%s\t%s\n", link, time);
	else if (text_equal(type, "file"))
		buffer_format(&line, "\tf\t%s\t%s\t%s\t%s\n", mode + 1, time, size, digest);
	else
		buffer_format(&line, "\td\t%s\t%s\n", mode + 1, time);
	add_line(lines, &line);
}

char *trees_describe_manifest(const char *path)
{
	_cleanup_buffer_ struct buffer content = { 0 };
	_cleanup_free_ char *text = NULL;
	struct lines lines = { 0 };
	char *line, *rest;

	if (fs_read_file(AT_FDCWD, path, 64 << 20, &content))
		abort();
	text = buffer_steal_text(&content);
	for (line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest))
		if (strncmp(line, "./", 2) == 0)
			describe_line(line, &lines);
	return join(&lines);
}

/* ---- archives and files */

char *trees_archive(const char *name)
{
	const char *directory = getenv("ARCHIVES");
	char *path = text_format("%s/%s", directory ? directory : ".", name);

	if (access(path, F_OK)) {
		fprintf(stderr, "'%s' is not there\n", path);
		abort();
	}
	return path;
}

char *trees_expected(const char *name)
{
	_cleanup_free_ char *file = text_format("%s.expected", name);
	_cleanup_free_ char *path = trees_archive(file);
	struct buffer content = { 0 };

	if (fs_read_file(AT_FDCWD, path, 64 << 20, &content))
		abort();
	return buffer_steal_text(&content);
}

void trees_write(const char *directory, const char *name, const void *data, size_t size, int mode)
{
	_cleanup_free_ char *path = text_format("%s/%s", directory, name);
	char *slash = strrchr(path, '/');
	int fd;

	*slash = 0;
	if (fs_make_directories(path, 0755))
		abort();
	*slash = '/';
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0 || fs_write_all(fd, data, size) || fchmod(fd, (mode_t)mode))
		abort();
	close(fd);
}

char *trees_read(const char *directory, const char *name)
{
	_cleanup_free_ char *path = text_format("%s/%s", directory, name);
	struct buffer content = { 0 };

	if (fs_read_file(AT_FDCWD, path, 64 << 20, &content))
		return NULL;
	return buffer_steal_text(&content);
}

bool trees_exists(const char *directory, const char *name)
{
	_cleanup_free_ char *path = text_format("%s/%s", directory, name);
	struct stat st;

	return lstat(path, &st) == 0;
}
