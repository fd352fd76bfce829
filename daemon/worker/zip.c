/*
 * A zip's members are independent, so threads inflate and write them side by side, the
 * largest first, so that no thread is left with a large one at the end. libzip reads
 * the directory and hands out members as they are compressed; a handle belongs to one
 * thread, so each has one (the file is mapped once for all). What deflate made is
 * inflated by us, and the CRC and size are checked by us; other methods by libzip.
 *
 * Before anything is written, all names are added to the place in the order of the
 * directory, and the sizes that it gives are held against the limits; a member that
 * then does not become what the directory says is damaged.
 */
#include "daemon/worker/zip.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <zip.h>
#include "daemon/worker/inflate.h"
#include "daemon/worker/zip-directory.h"

#define WHOLE_SIZE (512 * 1024)
#define CHUNK_SIZE (256 * 1024)
#define MAX_LINK 4095
#define MAX_THREADS 64
#define EXTRA_TIME 0x5455

struct member {
	zip_uint64_t index;
	zip_stat_t stat;
	struct place_entry *entry;
};

struct extraction {
	const struct archive_input *input;
	struct member *members; /* files, largest first */
	size_t count;
	_Atomic size_t next;
	_Atomic bool has_failed;
	pthread_mutex_t lock;
	struct error err; /* the first */
};

/* What one thread needs. */
struct hand {
	struct extraction *extraction;
	zip_t *zip;
	struct inflate *inflate;
	struct sha256 *sha256;
	uint8_t *packed, *whole; /* WHOLE_SIZE and a bit, WHOLE_SIZE */
	struct error err;
};

/* ---- opening */

bool zip_recognise(const struct source *source)
{
	struct zip_directory directory;

	return (source->size >= 4 &&
		       (memcmp(source->data, "PK\3\4", 4) == 0 ||
			       memcmp(source->data, "PK\5\6", 4) == 0)) ||
		zip_directory_find(source->data, source->size, &directory);
}

static int open_zip(const struct source *source, zip_t **ret, struct error *err)
{
	struct zip_directory directory = { 0 };
	zip_source_t *bytes;
	zip_error_t why;
	zip_t *zip;
	int r;

	/* What is in front of the zip is not for libzip. */
	zip_directory_find(source->data, source->size, &directory);
	zip_error_init(&why);
	bytes = zip_source_buffer_create(
		source->data + directory.begin, source->size - directory.begin, 0, &why);
	zip = bytes ? zip_open_from_source(bytes, ZIP_RDONLY, &why) : NULL;
	if (!zip) {
		if (bytes)
			zip_source_free(bytes);
		r = fail(err, -EBADMSG, "ARCHIVE_CORRUPT", "'%s' is a damaged or truncated zip: %s",
			source->path,
			zip_error_code_zip(&why) == ZIP_ER_NOZIP
				? "its directory, at the end, is not there"
				: zip_error_strerror(&why));
		zip_error_fini(&why);
		return r;
	}
	*ret = zip;
	return 0;
}

static int check_names(const struct source *source, struct error *err)
{
	struct zip_directory directory;
	const char *name = NULL;

	if (zip_directory_find(source->data, source->size, &directory))
		name = zip_directory_find_nul(source->data, &directory);
	return name ? fail(err, -EINVAL, "ENTRY_FORBIDDEN",
			      "'%s': an entry's name holds a NUL, behind '%s'", source->path, name)
		    : 0;
}

static int corrupt(
	const struct source *source, const char *name, const char *why, struct error *err)
{
	return fail(err, -EBADMSG, "ARCHIVE_CORRUPT", "'%s': entry '%s' is damaged: %s",
		source->path, name, why);
}

/* ---- the directory */

/* Unix seconds from the extra field UT; else what DOS time says, in local time. */
static int64_t find_mtime(zip_t *zip, const zip_stat_t *stat)
{
	static const zip_flags_t places[] = { ZIP_FL_LOCAL, ZIP_FL_CENTRAL };
	const zip_uint8_t *field;
	zip_uint16_t size;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(places); i++) {
		field = zip_file_extra_field_get_by_id(
			zip, stat->index, EXTRA_TIME, 0, &size, places[i]);
		if (field && size >= 5 && field[0] & 1)
			return (int32_t)((uint32_t)field[1] | (uint32_t)field[2] << 8 |
				(uint32_t)field[3] << 16 | (uint32_t)field[4] << 24);
	}
	return stat->valid & ZIP_STAT_MTIME ? stat->mtime : 0;
}

static mode_t find_mode(zip_t *zip, zip_uint64_t index)
{
	zip_uint32_t attributes;
	zip_uint8_t system;

	if (zip_file_get_external_attributes(zip, index, 0, &system, &attributes) ||
		(system != ZIP_OPSYS_UNIX && system != ZIP_OPSYS_OS_X))
		return 0;
	return (mode_t)(attributes >> 16);
}

static int check_stat(const struct source *source, zip_t *zip, const char *name,
	const zip_stat_t *stat, struct error *err)
{
	const zip_uint64_t wanted = ZIP_STAT_SIZE | ZIP_STAT_COMP_SIZE | ZIP_STAT_CRC |
		ZIP_STAT_COMP_METHOD | ZIP_STAT_ENCRYPTION_METHOD;

	if ((stat->valid & wanted) != wanted)
		return corrupt(source, name, "the directory does not say what it is", err);
	if (stat->encryption_method != ZIP_EM_NONE)
		return fail(err, -EINVAL, "ARCHIVE_ENCRYPTED", "'%s': entry '%s' is encrypted",
			source->path, name);
	if (!zip_compression_method_supported((zip_int32_t)stat->comp_method, 0))
		return fail(err, -EINVAL, "ARCHIVE_UNSUPPORTED",
			"'%s': entry '%s' is compressed by method %d, which is not known",
			source->path, name, stat->comp_method);
	return 0;
}

static int read_link(const struct source *source, zip_t *zip, const char *name,
	const zip_stat_t *stat, char target[MAX_LINK + 1], struct error *err)
{
	zip_file_t *file;
	zip_int64_t n;

	if (stat->size > MAX_LINK)
		return corrupt(source, name, "a link's target is too long", err);
	file = zip_fopen_index(zip, stat->index, 0);
	n = file ? zip_fread(file, target, MAX_LINK) : -1;
	if (file)
		zip_fclose(file);
	if (n < 0 || (zip_uint64_t)n != stat->size || memchr(target, 0, (size_t)n))
		return corrupt(source, name, "a link's target cannot be read", err);
	target[n] = 0;
	return 0;
}

static int add_member(struct extraction *extraction, zip_t *zip, zip_uint64_t index,
	uint64_t *total, struct error *err)
{
	const struct archive_input *input = extraction->input;
	const char *name = zip_get_name(zip, index, ZIP_FL_ENC_RAW);
	struct place_entry_info info = { .name = name };
	struct member *member = &extraction->members[extraction->count];
	char target[MAX_LINK + 1];
	mode_t mode;
	int r;

	member->index = index;
	if (!name || zip_stat_index(zip, index, 0, &member->stat))
		return corrupt(input->source, name ? name : "?", zip_strerror(zip), err);
	r = check_stat(input->source, zip, name, &member->stat, err);
	if (r)
		return r;
	mode = find_mode(zip, index);
	info.mtime = find_mtime(zip, &member->stat);
	info.is_executable = mode & 0111;
	info.mode_unknown = (mode & 0777) == 0;
	info.size = member->stat.size;
	info.type = *name && name[strlen(name) - 1] == '/' ? PLACE_DIRECTORY : PLACE_FILE;
	if (S_ISDIR(mode))
		info.type = PLACE_DIRECTORY;
	if (S_ISLNK(mode)) {
		info.type = PLACE_SYMLINK;
		info.target = target;
		r = read_link(input->source, zip, name, &member->stat, target, err);
	} else if (mode & S_IFMT && !S_ISREG(mode) && !S_ISDIR(mode)) {
		r = fail(err, -EINVAL, "ENTRY_FORBIDDEN",
			"'%s': entry '%s' is a device, fifo or socket", input->source->path, name);
	}
	if (r == 0)
		r = place_add(input->place, &info, &member->entry, err);
	if (r == 0 && info.type == PLACE_FILE) {
		if (__builtin_add_overflow(*total, member->stat.size, total))
			return corrupt(input->source, name, "its size cannot be", err);
		extraction->count++;
	}
	return r;
}

static int compare_members(const void *a, const void *b)
{
	const struct member *x = a, *y = b;

	if (x->stat.comp_size != y->stat.comp_size)
		return x->stat.comp_size < y->stat.comp_size ? 1 : -1;
	return x->index < y->index ? -1 : x->index > y->index;
}

static int read_directory(
	struct extraction *extraction, zip_t *zip, uint64_t *total, struct error *err)
{
	zip_int64_t count = zip_get_num_entries(zip, 0), i;
	int r;

	if (count <= 0)
		return fail(err, -EINVAL, "ARCHIVE_EMPTY", "'%s' is an empty zip",
			extraction->input->source->path);
	extraction->members = new0_array(struct member, (size_t)count);
	for (i = 0; i < count; i++) {
		r = add_member(extraction, zip, (zip_uint64_t)i, total, err);
		if (r)
			return r;
	}
	qsort(extraction->members, extraction->count, sizeof(*extraction->members),
		compare_members);
	return place_check_total(extraction->input->place, *total, err);
}

/* ---- members */

struct stream {
	struct hand *hand;
	zip_file_t *packed;
	struct place_file *file;
	const struct member *member;
	uint32_t crc;
};

static ssize_t stream_read(void *data, uint8_t *buffer, size_t size)
{
	struct stream *stream = data;
	zip_int64_t n = zip_fread(stream->packed, buffer, size);

	return n < 0 ? -EBADMSG : (ssize_t)n;
}

static int stream_write(void *data, const uint8_t *bytes, size_t size)
{
	struct stream *stream = data;
	struct hand *hand = stream->hand;

	if (size > stream->member->stat.size - stream->file->written)
		return -EBADMSG;
	stream->crc = inflate_crc32(stream->crc, bytes, size);
	report_add(hand->extraction->input->report, size, 0);
	return place_file_write(stream->file, bytes, size, &hand->err);
}

/* Stored, or by a method that libzip decodes. */
static int copy_stream(struct stream *stream)
{
	ssize_t n;
	int r = 0;

	while (r == 0 && (n = stream_read(stream, stream->hand->whole, CHUNK_SIZE)))
		r = n < 0 ? (int)n : stream_write(stream, stream->hand->whole, (size_t)n);
	return r;
}

static int inflate_small(struct stream *stream)
{
	const zip_stat_t *stat = &stream->member->stat;
	struct hand *hand = stream->hand;
	size_t filled = 0;
	ssize_t n;
	int r;

	while (filled < stat->comp_size) {
		n = stream_read(stream, hand->packed + filled, stat->comp_size - filled);
		if (n <= 0)
			return -EBADMSG;
		filled += (size_t)n;
	}
	r = inflate_whole(hand->inflate, hand->packed, filled, hand->whole, stat->size);
	if (r == 0 && stat->size)
		r = stream_write(stream, hand->whole, stat->size);
	return r;
}

static int extract_stream(struct stream *stream)
{
	const zip_stat_t *stat = &stream->member->stat;
	const struct inflate_stream inflate = { stream_read, stream_write, stream };

	if (stat->comp_method != ZIP_CM_DEFLATE)
		return copy_stream(stream);
	if (stat->size <= WHOLE_SIZE && stat->comp_size <= WHOLE_SIZE)
		return inflate_small(stream);
	return inflate_stream(stream->hand->inflate, &inflate);
}

static int extract_member(struct hand *hand, const struct member *member)
{
	const struct archive_input *input = hand->extraction->input;
	const char *name = zip_get_name(hand->zip, member->index, ZIP_FL_ENC_RAW);
	bool is_raw = member->stat.comp_method == ZIP_CM_DEFLATE ||
		member->stat.comp_method == ZIP_CM_STORE;
	struct place_file file;
	struct stream stream = { hand, NULL, &file, member, 0 };
	int r;

	stream.packed = zip_fopen_index(hand->zip, member->index, is_raw ? ZIP_FL_COMPRESSED : 0);
	if (!stream.packed)
		return corrupt(input->source, name, zip_strerror(hand->zip), &hand->err);
	place_file_init(&file, input->place, member->entry, hand->sha256);
	r = extract_stream(&stream);
	zip_fclose(stream.packed);
	if (r == 0 && (file.written != member->stat.size || stream.crc != member->stat.crc))
		r = -EBADMSG;
	if (r == -EBADMSG && !hand->err.r)
		corrupt(input->source, name, "it does not become what the directory says",
			&hand->err);
	if (r == 0)
		r = place_file_end(&file, &hand->err);
	if (r)
		place_file_abandon(&file);
	report_add(input->report, 0, 1);
	return r;
}

/* ---- threads */

static void note_failure(struct extraction *extraction, const struct error *err)
{
	pthread_mutex_lock(&extraction->lock);
	if (!extraction->err.r)
		extraction->err = *err;
	pthread_mutex_unlock(&extraction->lock);
	atomic_store(&extraction->has_failed, true);
}

static void hand_init(struct hand *hand, struct extraction *extraction, zip_t *zip)
{
	*hand = (struct hand){
		.extraction = extraction,
		.zip = zip,
		.inflate = inflate_new(),
		.sha256 = sha256_new(),
		.packed = alloc0(1, WHOLE_SIZE),
		.whole = alloc0(1, WHOLE_SIZE),
	};
}

static void hand_deinit(struct hand *hand)
{
	if (hand->zip)
		zip_discard(hand->zip);
	inflate_free(hand->inflate);
	sha256_free(hand->sha256);
	free(hand->packed);
	free(hand->whole);
}

static void *work(void *data)
{
	struct hand *hand = data;
	struct extraction *extraction = hand->extraction;
	size_t i;

	/* Reading the directory takes a while, and so does forgetting it: each thread does
	 * it by itself. */
	if (!hand->zip && open_zip(extraction->input->source, &hand->zip, &hand->err))
		note_failure(extraction, &hand->err);
	while (!atomic_load(&extraction->has_failed)) {
		i = atomic_fetch_add(&extraction->next, 1);
		if (i >= extraction->count)
			break;
		if (extract_member(hand, &extraction->members[i]))
			note_failure(extraction, &hand->err);
	}
	hand_deinit(hand);
	return NULL;
}

static int run(struct extraction *extraction, zip_t *zip, struct error *err)
{
	struct hand hands[MAX_THREADS];
	pthread_t threads[MAX_THREADS];
	size_t wanted = extraction->input->threads, n, i;

	wanted = wanted > MAX_THREADS ? MAX_THREADS : wanted;
	wanted = wanted > extraction->count ? extraction->count : wanted;
	hand_init(&hands[0], extraction, zip);
	for (n = 1; n < wanted; n++) {
		hand_init(&hands[n], extraction, NULL);
		if (pthread_create(&threads[n], NULL, work, &hands[n])) {
			hand_deinit(&hands[n]);
			break;
		}
	}
	work(&hands[0]);
	for (i = 1; i < n; i++)
		pthread_join(threads[i], NULL);
	if (extraction->err.r)
		*err = extraction->err;
	return extraction->err.r;
}

int zip_extract(const struct archive_input *input, struct error *err)
{
	struct extraction extraction = { .input = input };
	uint64_t total = 0;
	zip_t *zip;
	int r;

	r = check_names(input->source, err);
	if (r == 0)
		r = open_zip(input->source, &zip, err);
	if (r)
		return r;
	pthread_mutex_init(&extraction.lock, NULL);
	r = read_directory(&extraction, zip, &total, err);
	if (r) {
		zip_discard(zip);
	} else {
		report_phase(input->report, REPORT_EXTRACT, total);
		r = run(&extraction, zip, err);
	}
	pthread_mutex_destroy(&extraction.lock);
	free(extraction.members);
	return r;
}
