/*
 * Several layers may be made at once. The line shows the bytes of all together, and
 * in words the one that was heard of last:
 *
 *	[#########...........]  45 %  venv.zip: extracting, 151 MiB of 337 MiB (1 more)
 *
 * There is no bar while a total is not known (a tar does not say).
 */
#include "client/progress.h"

#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include "base/buffer.h"
#include "base/utf8.h"
#include "base/util.h"
#include "client/describe.h"
#include "client/format.h"

#define MAX_SOURCES 256
#define BAR_WIDTH 20
#define DEFAULT_WIDTH 80

void progress_init(struct progress *progress, FILE *file)
{
	const char *term = getenv("TERM");

	*progress = (struct progress){ 0 };
	if (isatty(fileno(file)) && !text_is_empty(term) && !text_equal(term, "dumb"))
		progress->file = file;
}

static void free_source(Pyenvd__V1__Progress *source)
{
	free(source->source);
	free(source);
}

void progress_deinit(struct progress *progress)
{
	size_t i;

	if (progress->is_shown) {
		fputs("\r\033[K", progress->file);
		fflush(progress->file);
	}
	for (i = 0; i < progress->source_count; i++)
		free_source(progress->sources[i]);
	free(progress->sources);
	*progress = (struct progress){ 0 };
}

/* The one heard of last is the last. */
static void remember(struct progress *progress, const Pyenvd__V1__Progress *event)
{
	Pyenvd__V1__Progress *source = new0(Pyenvd__V1__Progress);
	size_t i;

	*source = *event;
	source->base.n_unknown_fields = 0;
	source->source = text_copy(event->source);
	if (!progress->sources)
		progress->sources = new0_array(Pyenvd__V1__Progress *, MAX_SOURCES);
	for (i = 0; i + 1 < MAX_SOURCES && i < progress->source_count; i++)
		if (text_equal(progress->sources[i]->source, event->source))
			break;
	if (i < progress->source_count) {
		free_source(progress->sources[i]);
		progress->source_count--;
		memmove(progress->sources + i, progress->sources + i + 1,
			(progress->source_count - i) * sizeof(*progress->sources));
	}
	progress->sources[progress->source_count++] = source;
}

static void format_bar(const struct progress *progress, struct buffer *line)
{
	double done = 0, total = 0;
	int filled, i;
	size_t n;

	for (n = 0; n < progress->source_count; n++) {
		if (!progress->sources[n]->total_bytes)
			return;
		done += (double)progress->sources[n]->done_bytes;
		total += (double)progress->sources[n]->total_bytes;
	}
	if (done > total)
		done = total;
	filled = (int)(done / total * BAR_WIDTH);
	buffer_append_text(line, "[");
	for (i = 0; i < BAR_WIDTH; i++)
		buffer_append_text(line, i < filled ? "#" : ".");
	buffer_format(line, "] %3d %%  ", (int)(done / total * 100));
}

char *progress_format(const struct progress *progress, size_t width)
{
	const Pyenvd__V1__Progress *last = progress->sources[progress->source_count - 1];
	const char *slash = strrchr(last->source, '/');
	_cleanup_free_ char *done = format_bytes(last->done_bytes);
	_cleanup_free_ char *total = format_bytes(last->total_bytes);
	_cleanup_buffer_ struct buffer line = { 0 };
	char *text;

	format_bar(progress, &line);
	buffer_format(&line, "%s: %s", slash && slash[1] ? slash + 1 : last->source,
		describe_phase(last->phase));
	if (last->total_bytes)
		buffer_format(&line, ", %s of %s", done, total);
	else if (last->done_bytes)
		buffer_format(&line, ", %s", done);
	if (progress->source_count > 1)
		buffer_format(&line, " (%zu more)", progress->source_count - 1);
	text = format_clean(buffer_steal_text(&line), false);
	text[utf8_cut(text, strlen(text), width)] = 0;
	return text;
}

void progress_update(const Pyenvd__V1__Progress *event, void *data)
{
	struct progress *progress = data;
	_cleanup_free_ char *line = NULL;
	struct winsize size = { 0 };
	size_t width = DEFAULT_WIDTH;

	if (!progress->file)
		return;
	remember(progress, event);
	if (ioctl(fileno(progress->file), TIOCGWINSZ, &size) == 0 && size.ws_col > 1)
		width = size.ws_col;
	/* A terminal may wrap after its last column. */
	line = progress_format(progress, width - 1);
	fprintf(progress->file, "\r%s\033[K", line);
	fflush(progress->file);
	progress->is_shown = true;
}
