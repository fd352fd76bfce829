/*
 * Texts, each with its NUL: how many bytes follow; directory, log, how many arguments, these, the
 * environment. By the first, what was cut off is told from what is whole.
 */
#include "proto/launch.h"

#include <errno.h>
#include <unistd.h>

#define FIXED 3
#define READ_SIZE 65536

static void add(struct buffer *buffer, const char *text)
{
	buffer_append(buffer, text, strlen(text) + 1);
}

static void add_number(struct buffer *buffer, size_t number)
{
	_cleanup_free_ char *text = text_format("%zu", number);

	add(buffer, text);
}

void launch_pack(const struct launch *launch, struct buffer *ret)
{
	_cleanup_buffer_ struct buffer rest = { 0 };
	const char *const *word;
	size_t count = 0;

	while (launch->arguments[count])
		count++;
	add(&rest, launch->directory);
	add(&rest, launch->log);
	add_number(&rest, count);
	for (word = launch->arguments; *word; word++)
		add(&rest, *word);
	for (word = launch->environment; *word; word++)
		add(&rest, *word);
	add_number(ret, rest.size);
	buffer_append(ret, rest.data, rest.size);
}

static int read_to_end(int fd, struct buffer *ret)
{
	ssize_t n;

	for (;;) {
		n = read(fd, buffer_reserve(ret, READ_SIZE), READ_SIZE);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : 0;
		ret->size += (size_t)n;
	}
}

/* Without the first text. */
static int read_text(int fd, char **ret, size_t *size)
{
	_cleanup_buffer_ struct buffer buffer = { 0 };
	uint64_t wanted;
	size_t head;
	int r;

	r = read_to_end(fd, &buffer);
	if (r)
		return r;
	head = buffer.size ? strnlen((const char *)buffer.data, buffer.size) : 0;
	if (head == buffer.size)
		return -ENODATA;
	if (parse_u64((const char *)buffer.data, &wanted))
		return -EBADMSG;
	buffer_consume(&buffer, head + 1);
	if (buffer.size < wanted)
		return -ENODATA;
	if (buffer.size > wanted || !wanted || buffer.data[wanted - 1])
		return -EBADMSG;
	*size = buffer.size;
	*ret = (char *)STEAL(buffer.data);
	return 0;
}

static int split(struct launch_read *read, size_t size)
{
	size_t count = 0, i = 0, arguments;
	uint64_t number;
	const char *at;

	for (at = read->text; at < read->text + size; at += strlen(at) + 1)
		count++;
	read->words = new0_array(const char *, count + 2);
	for (at = read->text; at < read->text + size; at += strlen(at) + 1)
		read->words[i++] = at;
	if (count < FIXED || parse_u64(read->words[2], &number) || !number ||
		number > count - FIXED)
		return -EBADMSG;
	arguments = (size_t)number;
	memmove(&read->words[FIXED + arguments + 1], &read->words[FIXED + arguments],
		(count - FIXED - arguments) * sizeof(*read->words));
	read->words[FIXED + arguments] = NULL;
	read->launch = (struct launch){
		.directory = read->words[0],
		.log = read->words[1],
		.arguments = &read->words[FIXED],
		.environment = &read->words[FIXED + arguments + 1],
	};
	return 0;
}

int launch_read(int fd, struct launch_read *ret)
{
	size_t size = 0;
	int r;

	*ret = (struct launch_read){ 0 };
	r = read_text(fd, &ret->text, &size);
	if (r == 0)
		r = split(ret, size);
	if (r)
		launch_read_deinit(ret);
	return r;
}

void launch_read_deinit(struct launch_read *read)
{
	free(read->text);
	free(read->words);
	*read = (struct launch_read){ 0 };
}
