/*
 * A secret may be split between two reads, never between two lines: so whole lines are
 * looked at. Of one without an end only the beginning is kept, up to the last blank: what
 * is cut within a URL could hide its '@' from us.
 */
#include "daemon/worker/install-output.h"

#include <string.h>
#include "base/fs.h"
#include "base/utf8.h"

void install_output_init(struct install_output *output, int fd, uint64_t room)
{
	*output = (struct install_output){ .fd = fd, .room = room };
}

void install_output_deinit(struct install_output *output)
{
	buffer_deinit(&output->line);
	buffer_deinit(&output->tail);
}

void install_output_scrub(char *text)
{
	char *at = text;

	while ((at = strstr(at, "://"))) {
		char *host = at + 3, *end;

		/* A password may hold an '@' itself: the last one in front of the path counts. */
		end = host + strcspn(host, "/ \t'\"<>");
		while (end > host && end[-1] != '@')
			end--;
		memmove(host, end, strlen(end) + 1);
		at = host;
	}
}

static void write_log(struct install_output *output, const char *line, size_t size)
{
	static const char end[] = "[the rest was too long for this log]\n";

	if (output->fd < 0 || !output->room)
		return;
	/* A log that cannot be written, on a full disk, is not why an install fails. */
	if (size >= output->room) {
		output->room = 0;
		(void)fs_write_all(output->fd, end, sizeof(end) - 1);
		return;
	}
	output->room -= size;
	(void)fs_write_all(output->fd, line, size);
}

static void end_line(struct install_output *output)
{
	struct buffer *tail = &output->tail;
	char *text;
	size_t size;

	if (output->is_cut) {
		while (output->line.size && output->line.data[output->line.size - 1] != ' ')
			output->line.size--;
		buffer_append_text(&output->line, "…");
	}
	buffer_append(&output->line, "", 1);
	text = (char *)output->line.data;
	install_output_scrub(text);
	utf8_repair(text, strlen(text));
	size = strlen(text);
	text[size++] = '\n';
	write_log(output, text, size);
	buffer_append(tail, text, size);
	if (tail->size > INSTALL_OUTPUT_TAIL)
		buffer_consume(tail, tail->size - INSTALL_OUTPUT_TAIL);
	output->line.size = 0;
	output->is_cut = false;
}

void install_output_add(struct install_output *output, const uint8_t *bytes, size_t size)
{
	size_t i;

	for (i = 0; i < size; i++) {
		/* A bar of progress goes back and draws its line again. */
		if (output->has_returned && bytes[i] != '\n')
			end_line(output);
		output->has_returned = bytes[i] == '\r';
		if (bytes[i] == '\n')
			end_line(output);
		else if (bytes[i] == '\r')
			continue;
		else if (output->line.size >= INSTALL_OUTPUT_LINE)
			output->is_cut = true;
		else
			buffer_append(
				&output->line, bytes[i] ? &bytes[i] : (const uint8_t *)"?", 1);
	}
}

void install_output_end(struct install_output *output)
{
	if (output->line.size)
		end_line(output);
}

void install_output_forget(struct install_output *output)
{
	output->tail.size = 0;
}

void install_output_get_tail(const struct install_output *output, char *ret, size_t size)
{
	const char *text = (const char *)output->tail.data;
	size_t n = output->tail.size, from = n > size - 1 ? n - (size - 1) : 0;

	while (from && from < n && text[from - 1] != '\n')
		from++;
	if (n)
		memcpy(ret, text + from, n - from);
	ret[n - from] = 0;
	n -= from;
	while (n && (ret[n - 1] == '\n' || ret[n - 1] == ' '))
		ret[--n] = 0;
}
