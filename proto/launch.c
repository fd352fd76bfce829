/*
 * A head, then texts, each with its NUL: directory, log, arguments, environment. By the head, what
 * was cut off is told from what is whole, and all memory is got at once.
 */
#include "proto/launch.h"

#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#define FIXED 2
#define MAX_SIZE (UINT64_C(1) << 30)

struct head {
	uint64_t size; /* of the texts */
	uint64_t arguments, environment; /* how many of them */
};

static uint64_t add(struct buffer *buffer, const char *const *texts)
{
	uint64_t count = 0;

	for (; texts[count]; count++)
		buffer_append(buffer, texts[count], strlen(texts[count]) + 1);
	return count;
}

void launch_pack(const struct launch *launch, struct buffer *ret)
{
	const char *const fixed[] = { launch->directory, launch->log, NULL };
	_cleanup_buffer_ struct buffer texts = { 0 };
	struct head head = { 0 };

	add(&texts, fixed);
	head.arguments = add(&texts, launch->arguments);
	head.environment = add(&texts, launch->environment);
	head.size = texts.size;
	buffer_append(ret, &head, sizeof(head));
	buffer_append(ret, texts.data, texts.size);
}

static int read_all(int fd, void *data, size_t size)
{
	size_t done = 0;
	ssize_t n;

	while (done < size) {
		n = read(fd, (char *)data + done, size - done);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -ENODATA;
		done += (size_t)n;
	}
	return 0;
}

/* @count texts from @text on, and a NULL behind them. False: they do not end before @end. */
static bool split(const char **words, size_t count, const char **text, const char *end)
{
	size_t i;

	for (i = 0; i < count; i++) {
		if (*text == end)
			return false;
		words[i] = *text;
		*text += strlen(*text) + 1;
	}
	words[count] = NULL;
	return true;
}

static int understand(
	const struct head *head, const char **words, const char *text, struct launch *ret)
{
	const char *end = text + head->size;
	const char **arguments = words + FIXED + 1;
	const char **environment = arguments + head->arguments + 1;

	if (end[-1] || !split(words, FIXED, &text, end) ||
		!split(arguments, head->arguments, &text, end) ||
		!split(environment, head->environment, &text, end) || text != end)
		return -EBADMSG;
	*ret = (struct launch){ words[0], words[1], arguments, environment };
	return 0;
}

int launch_read(int fd, struct launch_read *ret)
{
	size_t words_size;
	struct head head;
	void *area;
	int r;

	*ret = (struct launch_read){ 0 };
	r = read_all(fd, &head, sizeof(head));
	if (r)
		return r;
	/* No text is shorter than its NUL. */
	if (!head.size || head.size > MAX_SIZE || !head.arguments || head.arguments > head.size ||
		head.environment > head.size)
		return -EBADMSG;
	words_size = (FIXED + head.arguments + head.environment + 3) * sizeof(char *);
	area = mmap(NULL, words_size + head.size, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (area == MAP_FAILED)
		return -errno;
	ret->area = area;
	ret->size = words_size + head.size;
	r = read_all(fd, (char *)area + words_size, head.size);
	if (r == 0)
		r = understand(&head, area, (char *)area + words_size, &ret->launch);
	if (r)
		launch_read_deinit(ret);
	return r;
}

void launch_read_deinit(struct launch_read *read)
{
	if (read->area)
		munmap(read->area, read->size);
	*read = (struct launch_read){ 0 };
}
