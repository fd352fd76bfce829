#pragma once
/*
 * A tar's bytes, out of whatever it is compressed with. What ends too early, or whose
 * checksum is wrong, is an error: also behind the last entry, so it has to be read to its end.
 */
#include "daemon/worker/source.h"

struct decode;

enum decode_kind {
	DECODE_PLAIN,
	DECODE_GZIP,
	DECODE_BZIP2,
	DECODE_XZ,
	DECODE_ZSTD,
};

/* By the first bytes. */
enum decode_kind decode_recognise(const struct source *source);
const char *decode_format(enum decode_kind kind); /* "tar", "tar+gzip", … */

int decode_new(
	const struct source *source, enum decode_kind kind, struct decode **ret, struct error *err);
struct decode *decode_free(struct decode *decode);
DEFINE_CLEANUP(struct decode *, decode_free);

/* The next bytes, borrowed until the next call; 0 at the end; -EBADMSG with @err. */
ssize_t decode_read(struct decode *decode, const void **ret, struct error *err);
