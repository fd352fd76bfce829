#include "tests/support/scratch.h"

#include <ftw.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/util.h"

char *scratch_make(void)
{
	const char *base = getenv("TMPDIR");
	char *path = text_format("%s/pyenvd-test-XXXXXX", text_is_empty(base) ? "/tmp" : base);

	if (!mkdtemp(path))
		abort();
	return path;
}

static int open_up(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	if (S_ISDIR(st->st_mode))
		chmod(path, 0700);
	return 0;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	remove(path);
	return 0;
}

void scratch_remove(char *path)
{
	nftw(path, open_up, 16, FTW_PHYS);
	nftw(path, remove_one, 16, FTW_PHYS | FTW_DEPTH);
	free(path);
}
