/*
 * Runs a fuzz target on the files, and the files of the directories, named on the
 * command line: what a fuzzer once found stays found, with any compiler.
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/stat.h>
#include "base/buffer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int run_file(const char *path)
{
	_cleanup_buffer_ struct buffer input = { 0 };
	FILE *file = fopen(path, "re");
	size_t n;

	if (!file) {
		perror(path);
		return 1;
	}
	while ((n = fread(buffer_reserve(&input, 65536), 1, 65536, file)))
		input.size += n;
	fclose(file);
	LLVMFuzzerTestOneInput(input.data, input.size);
	return 0;
}

static int run_directory(const char *path)
{
	DIR *directory = opendir(path);
	struct dirent *entry;
	int r = 0;

	if (!directory) {
		perror(path);
		return 1;
	}
	while ((entry = readdir(directory))) {
		_cleanup_free_ char *file = text_format("%s/%s", path, entry->d_name);

		if (entry->d_name[0] != '.')
			r |= run_file(file);
	}
	closedir(directory);
	return r;
}

int main(int argc, char **argv)
{
	struct stat st;
	int i, r = 0;

	for (i = 1; i < argc; i++) {
		bool is_directory = stat(argv[i], &st) == 0 && S_ISDIR(st.st_mode);

		r |= is_directory ? run_directory(argv[i]) : run_file(argv[i]);
	}
	return r;
}
