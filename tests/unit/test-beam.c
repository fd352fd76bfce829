#include "proto/beam.h"

#include <criterion/criterion.h>

static struct buffer bytes;

/* Vectors made by protoc from Beam's own files, with sorted maps. */
static void expect(const char *hex)
{
	_cleanup_free_ char *got = alloc0(bytes.size * 2 + 1, 1);

	hex_format(bytes.data, bytes.size, got);
	cr_expect_str_eq(got, hex);
	buffer_deinit(&bytes);
}

#define PROCESS "12136265616d3a656e763a70726f636573733a7631"
#define DOCKER "12126265616d3a656e763a646f636b65723a7631"

Test(beam, a_process_is_its_command_and_variables)
{
	const struct beam_variable variables[] = { { "A", "1" }, { "python", "python3" } };

	beam_process_environment("/b/r.sh", variables, 2, &bytes);
	expect(PROCESS "1a24"
		       "1a072f622f722e736822060a014112013122110a06707974686f6e1207707974686f6e33");
}

Test(beam, an_empty_value_is_written_as_others_write_it)
{
	const struct beam_variable variables[] = { { "A", "" } };

	beam_process_environment("/r", variables, 1, &bytes);
	expect(PROCESS "1a0b"
		       "1a022f72"
		       "22050a01411200");
}

Test(beam, a_process_without_variables_is_its_command)
{
	beam_process_environment("/r", NULL, 0, &bytes);
	expect(PROCESS "1a04"
		       "1a022f72");
}

Test(beam, a_container_is_its_image)
{
	beam_docker_environment("img:1", &bytes);
	expect(DOCKER "1a07"
		      "0a05696d673a31");
}

Test(beam, it_appends)
{
	buffer_append_text(&bytes, "\xff");
	beam_docker_environment("img:1", &bytes);
	expect("ff" DOCKER "1a07"
	       "0a05696d673a31");
}
