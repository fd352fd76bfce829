#include "tests/support/extracted.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/fs.h"
#include "tests/support/scratch.h"

void extracted_init(struct extracted *layer, const struct place_limits *limits)
{
	umask(0);
	layer->scratch = scratch_make();
	layer->directory = text_format("%s/state/layers/a", layer->scratch);
	layer->tree = text_format("%s/tree", layer->directory);
	cr_assert_eq(fs_make_directories(layer->tree, 0700), 0);
	layer->tree_fd = open(layer->tree, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	layer->place = place_new(layer->tree_fd, "/the/archive", limits);
	layer->sha256 = sha256_new();
}

void extracted_deinit(struct extracted *layer)
{
	sha256_free(layer->sha256);
	place_free(layer->place);
	close(layer->tree_fd);
	free(layer->tree);
	free(layer->directory);
	scratch_remove(layer->scratch);
}

static struct place_entry *add(struct extracted *layer, const struct place_entry_info *info)
{
	struct place_entry *entry;
	struct error err;

	cr_assert_eq(place_add(layer->place, info, &entry, &err), 0, "%s", err.text);
	return entry;
}

void extracted_add_file(struct extracted *layer, const char *name, const void *data, size_t size,
	bool is_executable)
{
	const struct place_entry_info info = {
		.name = name,
		.type = PLACE_FILE,
		.mtime = EXTRACTED_MTIME,
		.is_executable = is_executable,
	};
	struct place_file file;
	struct error err;

	place_file_init(&file, layer->place, add(layer, &info), layer->sha256);
	cr_assert_eq(place_file_write(&file, data, size, &err), 0, "%s", err.text);
	cr_assert_eq(place_file_end(&file, &err), 0, "%s", err.text);
}

void extracted_add_link(
	struct extracted *layer, const char *name, enum place_type type, const char *target)
{
	add(layer,
		&(struct place_entry_info){
			.name = name, .type = type, .target = target, .mtime = EXTRACTED_MTIME });
}

void extracted_finish(struct extracted *layer)
{
	struct error err;

	cr_assert_eq(place_finish_links(layer->place, &err), 0, "%s", err.text);
}
