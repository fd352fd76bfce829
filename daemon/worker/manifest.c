#include "daemon/worker/manifest.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/fs.h"

#define FLUSH_SIZE (1 << 20)

void manifest_escape(const char *name, struct buffer *ret)
{
	const unsigned char *c;

	for (c = (const unsigned char *)name; *c; c++)
		if (*c > ' ' && *c < 127 && *c != '\\' && *c != '#' && *c != '=')
			buffer_append(ret, c, 1);
		else
			buffer_format(ret, "\\%03o", *c);
}

static void add_header(const char *header, struct buffer *out)
{
	size_t n;

	buffer_append_text(out, "#mtree\n");
	for (; *header; header += n + (header[n] == '\n')) {
		n = strcspn(header, "\n");
		buffer_format(out, "# %.*s\n", (int)n, header);
	}
	buffer_append_text(out, ". type=dir mode=0555\n");
}

static void add_entry(const struct place_view *view, struct buffer *out)
{
	char hex[SHA256_HEX_SIZE];

	buffer_append_text(out, "./");
	manifest_escape(view->name, out);
	if (view->type == PLACE_DIRECTORY)
		buffer_append_text(out, " type=dir mode=0555");
	else if (view->type == PLACE_SYMLINK)
		buffer_append_text(out, " type=link mode=0777");
	else
		buffer_format(out, " type=file mode=0%s", view->is_executable ? "555" : "444");
	if (view->mtime >= 0)
		buffer_format(out, " time=%lld.0", (long long)view->mtime);
	if (view->type == PLACE_SYMLINK) {
		buffer_append_text(out, " link=");
		manifest_escape(view->target, out);
	} else if (view->type == PLACE_FILE) {
		hex_format(view->sha256, SHA256_SIZE, hex);
		buffer_format(
			out, " size=%llu sha256digest=%s", (unsigned long long)view->size, hex);
	}
	buffer_append_text(out, "\n");
}

static int flush(int fd, struct buffer *out, size_t limit, struct error *err)
{
	int r;

	if (out->size < limit)
		return 0;
	r = fs_write_all(fd, out->data, out->size);
	out->size = 0;
	return r ? fail_errno(err, r, r == -ENOSPC || r == -EDQUOT ? "NO_SPACE" : NULL,
			   "cannot write a layer's manifest")
		 : 0;
}

int manifest_write(int directory_fd, struct place *place, const char *header, struct error *err)
{
	_cleanup_close_ int fd = openat(directory_fd, "manifest",
		O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0444);
	_cleanup_buffer_ struct buffer out = { 0 };
	size_t i, count = place_sort(place);
	int r = 0;

	if (fd < 0)
		return fail_errno(err, -errno, errno == ENOSPC ? "NO_SPACE" : NULL,
			"cannot make a layer's manifest");
	add_header(header, &out);
	for (i = 0; i < count && r == 0; i++) {
		struct place_view view = place_get(place, i);

		if (view.name)
			add_entry(&view, &out);
		r = flush(fd, &out, FLUSH_SIZE, err);
	}
	return r ? r : flush(fd, &out, 1, err);
}
