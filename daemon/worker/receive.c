#include "daemon/worker/receive.h"

#include <errno.h>
#include <unistd.h>
#include "base/fs.h"

#define BUFFER_SIZE (256 * 1024)
/* How often it is looked at how much of the disk is left. */
#define GRAIN (UINT64_C(8) << 20)

static int check_room(int to, uint64_t wanted, uint64_t reserve, struct error *err)
{
	uint64_t room;

	if (fs_get_room(to, &room) || (room >= reserve && room - reserve >= wanted))
		return 0;
	return fail(err, -ENOSPC, "NO_SPACE",
		"the disk has %llu bytes left, and the upload takes %llu more beside a reserve of "
		"%llu",
		(unsigned long long)room, (unsigned long long)wanted, (unsigned long long)reserve);
}

static int fail_write(int r, struct error *err)
{
	bool is_full = r == -ENOSPC || r == -EDQUOT || r == -EFBIG;

	return fail_errno(err, r, is_full ? "NO_SPACE" : NULL, "cannot write the upload");
}

int receive(int from, int to, uint64_t size, uint64_t reserve, uint8_t ret[SHA256_SIZE],
	struct error *err)
{
	_cleanup_(sha256_freep) struct sha256 *sha256 = sha256_new();
	_cleanup_free_ uint8_t *buffer = alloc0(1, BUFFER_SIZE);
	uint64_t at = 0, checked = 0;
	ssize_t n;
	int r = check_room(to, size, reserve, err);

	for (; r == 0 && at < size; at += (uint64_t)n) {
		n = read(from, buffer, size - at < BUFFER_SIZE ? size - at : BUFFER_SIZE);
		if (n <= 0)
			return fail_errno(err, n ? -errno : -EPIPE, NULL, "the upload broke off");
		sha256_add(sha256, buffer, (size_t)n);
		if (at - checked >= GRAIN) {
			r = check_room(to, size - at, reserve, err);
			checked = at;
		}
		if (r == 0 && (r = fs_write_all(to, buffer, (size_t)n)))
			r = fail_write(r, err);
	}
	if (r == 0)
		sha256_end(sha256, ret);
	return r;
}
