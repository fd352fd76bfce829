#include "base/proc-stat.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include "base/fs.h"

#define MAX_STAT 65536

/* The name in field 2 may hold spaces and brackets: what follows begins behind the last ')'. */
int proc_stat_parse(const char *text, struct proc_stat *ret)
{
	const char *rest = strrchr(text, ')');
	int group;
	uint64_t start;

	if (!rest ||
		sscanf(rest,
			") %*c %*d %d %*d %*d %*d %*d %*d %*d %*d %*d %*d %*d %*d %*d %*d %*d %*d "
			"%*d %" SCNu64,
			&group, &start) != 2)
		return -EBADMSG;
	*ret = (struct proc_stat){ .group = group, .start = start };
	return 0;
}

int proc_stat_read(pid_t pid, struct proc_stat *ret)
{
	_cleanup_buffer_ struct buffer text = { 0 };
	char path[64];
	int r;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	r = fs_read_file(AT_FDCWD, path, MAX_STAT, &text);
	if (r)
		return r;
	buffer_append(&text, "", 1);
	return proc_stat_parse((const char *)text.data, ret);
}
