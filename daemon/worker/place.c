/*
 * All names that the archive gave, and all directories that they imply, are in one
 * table, by their normal form: no leading "./", no empty components. So every
 * contradiction is found when the second name comes, whatever the order: an entry
 * beneath what is a link or a file, a file or link where a directory is.
 */
#include "daemon/worker/place.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/fs.h"
#include "daemon/worker/place-internal.h"

#define MODE_MAKING 0700
#define MAX_COMPONENT 255
#define MAX_TIME UINT32_MAX

static void entry_free(struct place_entry *entry)
{
	free(entry->name);
	free(entry->target);
	free(entry);
}

struct place *place_new(int tree_fd, const char *source, const struct place_limits *limits)
{
	struct place *place = new0(struct place);

	place->tree_fd = tree_fd;
	place->source = source;
	place->limits = *limits;
	list_init(&place->symlinks);
	list_init(&place->hardlinks);
	list_init(&place->compared);
	return place;
}

struct place *place_free(struct place *place)
{
	size_t i;

	if (!place)
		return NULL;
	for (i = 0; i < place->count; i++)
		entry_free(place->entries[i]);
	free(place->entries);
	map_deinit(&place->names);
	free(place);
	return NULL;
}

struct place_entry *place_find(const struct place *place, const char *name)
{
	struct map_node *node = map_find(&place->names, name);

	return node ? container_of(node, struct place_entry, node) : NULL;
}

/* ---- names */

static int forbid(struct place *place, const char *name, const char *why, struct error *err)
{
	return fail(err, -EINVAL, "ENTRY_FORBIDDEN", "'%.300s': entry '%.300s' %s", place->source,
		name, why);
}

int place_contradict(struct place *place, const char *name, const char *why, struct error *err)
{
	return fail(err, -EINVAL, "ENTRY_CONFLICT", "'%.300s': entry '%.300s' %s", place->source,
		name, why);
}

/* The normal form, owned; "" for the tree itself. */
static int normalize(struct place *place, const char *name, char **ret, struct error *err)
{
	char *normal = new0_array(char, strlen(name) + 1), *to = normal;
	const char *at = name;
	uint32_t depth = 0;
	size_t n;
	int r = 0;

	if (*name == '/')
		r = forbid(place, name, "has an absolute name", err);
	for (; r == 0 && *at; at += n + (at[n] == '/')) {
		n = strcspn(at, "/");
		if (n == 0 || (n == 1 && at[0] == '.'))
			continue;
		if (n == 2 && at[0] == '.' && at[1] == '.')
			r = forbid(place, name, "climbs out ('..')", err);
		if (n > MAX_COMPONENT)
			r = forbid(place, name, "has a component longer than 255 bytes", err);
		if (to != normal)
			*to++ = '/';
		memcpy(to, at, n);
		to += n;
		depth++;
	}
	/* Whatever the limits: no system call takes more. */
	if (r == 0 && to - normal >= PATH_MAX)
		r = forbid(place, name, "has a name that the file system cannot keep", err);
	if (r == 0 && place->limits.max_depth && depth > place->limits.max_depth)
		r = fail(err, -EFBIG, "LIMIT_EXCEEDED",
			"'%s': an entry lies more than %u directories deep ('%.80s…')",
			place->source, place->limits.max_depth, name);
	if (r == 0 && place->limits.max_name && (size_t)(to - normal) > place->limits.max_name)
		r = fail(err, -EFBIG, "LIMIT_EXCEEDED",
			"'%s': a name is longer than %u bytes ('%.80s…')", place->source,
			place->limits.max_name, name);
	if (r) {
		free(normal);
		return r;
	}
	*ret = normal;
	return 0;
}

struct place_entry *place_append(struct place *place, char *name, enum place_type type)
{
	struct place_entry *entry = new0(struct place_entry);

	if (place->count == place->allocated) {
		place->allocated = place->allocated ? place->allocated * 2 : 256;
		place->entries = realloc(
			place->entries, place->allocated * sizeof(*place->entries));
		if (!place->entries)
			abort();
	}
	entry->name = name;
	entry->type = type;
	entry->mtime = -1;
	place->entries[place->count++] = entry;
	return entry;
}

/* Takes @name. */
static int append(struct place *place, char *name, enum place_type type, struct place_entry **ret,
	struct error *err)
{
	if (place->limits.max_entries && place->count >= place->limits.max_entries) {
		free(name);
		return fail(err, -EFBIG, "LIMIT_EXCEEDED",
			"'%s': more than %llu entries (max_layer_entries)", place->source,
			(unsigned long long)place->limits.max_entries);
	}
	*ret = place_append(place, name, type);
	return 0;
}

int place_fail_write(struct place *place, int r, const char *name, struct error *err)
{
	if (r == -ENOSPC || r == -EDQUOT)
		return fail_errno(
			err, r, "NO_SPACE", "'%s': cannot write entry '%s'", place->source, name);
	if (r == -ENAMETOOLONG)
		return forbid(place, name, "has a name that the file system cannot keep", err);
	return fail_errno(
		err, r, "INTERNAL_ERROR", "'%s': cannot write entry '%s'", place->source, name);
}

int place_make_directory(
	struct place *place, char *name, struct place_entry **ret, struct error *err)
{
	int r;

	r = append(place, name, PLACE_DIRECTORY, ret, err);
	if (r)
		return r;
	/* Its parents are directories that we made. */
	if (mkdirat(place->tree_fd, name, MODE_MAKING))
		return place_fail_write(place, -errno, name, err);
	map_add(&place->names, &(*ret)->node, (*ret)->name);
	return 0;
}

/* Everything above the last component is, or becomes, a directory. */
static int make_parents(struct place *place, char *name, const char *as_given, struct error *err)
{
	char *slash = strrchr(name, '/');
	struct place_entry *entry;
	int r;

	if (!slash)
		return 0;
	*slash = 0;
	entry = place_find(place, name);
	if (entry && entry->type == PLACE_DIRECTORY) {
		*slash = '/';
		return 0;
	}
	if (entry && entry->type == PLACE_SYMLINK)
		r = forbid(place, as_given, "lies beneath a symbolic link", err);
	else if (entry)
		r = place_contradict(place, as_given, "lies beneath what is no directory", err);
	else
		r = make_parents(place, name, as_given, err);
	if (r == 0)
		r = place_make_directory(place, text_copy(name), &entry, err);
	*slash = '/';
	return r;
}

/* ---- adding */

/* What every file system can keep, and a .pyc file: 1970 to 2106. */
static int64_t clamp_time(int64_t mtime)
{
	return mtime < 0 ? 0 : mtime > MAX_TIME ? MAX_TIME : mtime;
}

static int check_target(struct place *place, const struct place_entry_info *info, struct error *err)
{
	if (info->type == PLACE_SYMLINK && !*info->target)
		return forbid(place, info->name, "is a symbolic link to nowhere", err);
	if (info->type == PLACE_SYMLINK && strlen(info->target) >= PATH_MAX)
		return forbid(place, info->name, "is a symbolic link with a target too long", err);
	return 0;
}

static int add_again(struct place *place, struct place_entry *first,
	const struct place_entry_info *info, struct place_entry **ret, struct error *err)
{
	int r;

	*ret = first;
	if (first->type == PLACE_DIRECTORY && info->type == PLACE_DIRECTORY) {
		first->mtime = clamp_time(info->mtime);
		return 0;
	}
	if (first->type != info->type)
		return place_contradict(place, info->name,
			first->type == PLACE_SYMLINK && info->type == PLACE_DIRECTORY
				? "is a directory where a symbolic link is"
				: "is there twice, as different things",
			err);
	if (first->type == PLACE_SYMLINK && !text_equal(first->target, info->target))
		return place_contradict(
			place, info->name, "is a symbolic link to two different targets", err);
	if (first->type == PLACE_HARDLINK)
		return place_contradict(
			place, info->name, "is there twice, once as a hard link", err);
	if (first->type != PLACE_FILE)
		return 0;
	r = append(place, text_copy(first->name), PLACE_FILE, ret, err);
	if (r)
		return r;
	(*ret)->first = first;
	list_add(&place->compared, &(*ret)->link);
	return 0;
}

static int add_hardlink(struct place *place, struct place_entry *entry,
	const struct place_entry_info *info, struct error *err)
{
	struct place_entry *to;
	char *target;
	int r;

	r = normalize(place, info->target, &target, err);
	if (r) {
		error_prefix(err, "the target of hard link '%s'", info->name);
		return r;
	}
	to = place_find(place, target);
	free(target);
	while (to && to->type == PLACE_HARDLINK)
		to = to->first;
	if (!to || to->type == PLACE_DIRECTORY)
		return place_contradict(place, info->name,
			"is a hard link to what is no file that came before it", err);
	entry->first = to;
	list_add(&place->hardlinks, &entry->link);
	return 0;
}

static int add_new(struct place *place, char *name, const struct place_entry_info *info,
	struct place_entry **ret, struct error *err)
{
	int r;

	r = make_parents(place, name, info->name, err);
	if (r) {
		free(name);
		return r;
	}
	if (info->type == PLACE_DIRECTORY) {
		r = place_make_directory(place, name, ret, err);
		if (r == 0)
			(*ret)->mtime = clamp_time(info->mtime);
		return r;
	}
	r = append(place, name, info->type, ret, err);
	if (r)
		return r;
	(*ret)->mtime = clamp_time(info->mtime);
	(*ret)->is_executable = info->is_executable;
	(*ret)->mode_unknown = info->mode_unknown;
	map_add(&place->names, &(*ret)->node, (*ret)->name);
	if (info->type == PLACE_SYMLINK) {
		(*ret)->target = text_copy(info->target);
		list_add(&place->symlinks, &(*ret)->link);
	} else if (info->type == PLACE_HARDLINK) {
		return add_hardlink(place, *ret, info, err);
	}
	return 0;
}

int place_add(struct place *place, const struct place_entry_info *info, struct place_entry **ret,
	struct error *err)
{
	struct place_entry *first;
	char *name;
	int r;

	r = normalize(place, info->name, &name, err);
	if (r)
		return r;
	r = check_target(place, info, err);
	if (r == 0 && !*name && info->type != PLACE_DIRECTORY)
		r = forbid(place, info->name, "would replace the whole tree", err);
	if (r || !*name) {
		free(name);
		*ret = NULL;
		return r;
	}
	first = place_find(place, name);
	if (!first)
		return add_new(place, name, info, ret, err);
	free(name);
	return add_again(place, first, info, ret, err);
}

/* ---- looking */

uint64_t place_get_bytes(const struct place *place)
{
	return atomic_load(&place->bytes);
}

uint64_t place_get_entries(const struct place *place)
{
	return place->names.count;
}

static int compare(const void *a, const void *b)
{
	const struct place_entry *x = *(struct place_entry *const *)a;
	const struct place_entry *y = *(struct place_entry *const *)b;
	int r = strcmp(x->name, y->name);

	/* Those that were only compared come behind. */
	return r ? r : (x->node.key == NULL) - (y->node.key == NULL);
}

size_t place_sort(struct place *place)
{
	qsort(place->entries, place->count, sizeof(*place->entries), compare);
	return place->count;
}

struct place_view place_get(const struct place *place, size_t i)
{
	const struct place_entry *entry = place->entries[i];

	return (struct place_view){
		.name = entry->node.key, /* NULL: only compared */
		.type = entry->type,
		.is_executable = entry->is_executable,
		.mtime = entry->mtime,
		.size = entry->size,
		.target = entry->target,
		.sha256 = entry->sha256,
	};
}

enum place_type place_type_of(const struct place *place, const char *name)
{
	const struct place_entry *entry = place_find(place, name);

	return entry ? entry->type : 0;
}
