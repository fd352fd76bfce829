#include <criterion/criterion.h>
#include "base/util.h"
#include "client/progress.h"

static struct progress progress;

static void hear(const char *source, Pyenvd__V1__Phase phase, uint64_t done, uint64_t total)
{
	Pyenvd__V1__Progress event = PYENVD__V1__PROGRESS__INIT;

	event.source = (char *)source;
	event.phase = phase;
	event.done_bytes = done;
	event.total_bytes = total;
	progress_update(&event, &progress);
}

static void expect(size_t width, const char *wanted)
{
	_cleanup_free_ char *line = progress_format(&progress, width);

	cr_expect_str_eq(line, wanted);
}

static void set_up(void)
{
	progress.file = fopen("/dev/null", "w");
}

static void tear_down(void)
{
	FILE *file = progress.file;

	progress_deinit(&progress);
	fclose(file);
}

TestSuite(progress, .init = set_up, .fini = tear_down);

Test(progress, a_bar_needs_a_total)
{
	hear("/srv/venv.tar", PYENVD__V1__PHASE__PHASE_WAITING, 0, 0);
	expect(100, "venv.tar: waiting");
	hear("/srv/venv.tar", PYENVD__V1__PHASE__PHASE_EXTRACT, 1 << 20, 0);
	expect(100, "venv.tar: extracting, 1.0 MiB");
	hear("/srv/venv.tar", PYENVD__V1__PHASE__PHASE_EXTRACT, 1 << 20, 4 << 20);
	expect(100, "[#####...............]  25 %  venv.tar: extracting, 1.0 MiB of 4.0 MiB");
}

Test(progress, the_bar_is_of_all_and_the_words_of_the_last)
{
	hear("/a", PYENVD__V1__PHASE__PHASE_EXTRACT, 50, 100);
	hear("/b", PYENVD__V1__PHASE__PHASE_EXTRACT, 0, 100);
	expect(100, "[#####...............]  25 %  b: extracting, 0 B of 100 B (1 more)");
	hear("/a", PYENVD__V1__PHASE__PHASE_FINISH, 100, 100);
	expect(100, "[##########..........]  50 %  a: finishing, 100 B of 100 B (1 more)");
}

Test(progress, more_than_all_is_all)
{
	hear("/a", PYENVD__V1__PHASE__PHASE_BYTECODE, 300, 100);
	expect(100, "[####################] 100 %  a: compiling, 300 B of 100 B");
}

Test(progress, the_line_is_cut_between_characters)
{
	hear("/\303\244\303\244", PYENVD__V1__PHASE__PHASE_DIGEST, 0, 0);
	expect(3, "\303\244");
	expect(4, "\303\244\303\244");
}

Test(progress, very_many_sources_are_no_trouble)
{
	char name[16];
	int i;

	for (i = 0; i < 1000; i++) {
		snprintf(name, sizeof(name), "/%d", i);
		hear(name, PYENVD__V1__PHASE__PHASE_DIGEST, 0, 0);
	}
	expect(100, "999: reading (255 more)");
}

Test(progress, nothing_is_shown_where_there_is_no_terminal)
{
	struct progress other;

	setenv("TERM", "xterm", 1);
	progress_init(&other, progress.file);
	cr_expect_null(other.file);
	hear("", PYENVD__V1__PHASE__PHASE_DIGEST, 0, 0);
	progress_update(progress.sources[0], &other);
	cr_expect_eq(other.source_count, 0);
	progress_deinit(&other);
}
