#include <criterion/criterion.h>
#include "base/util.h"
#include "daemon/worker/install-output.h"
#include "daemon/worker/installer.h"

static const char *why(const char *output, const char *log)
{
	return installer_understand(output, log)->reason;
}

/* Lines that pip 23 and 26 and uv 0.13 have printed. */
Test(installer, what_they_say_is_understood)
{
	static const struct {
		const char *output, *log, *reason;
	} said[] = {
		{ "ERROR: Could not install packages due to an OSError: [Errno 28] No space left "
		  "on "
		  "device\n",
			"", "NO_SPACE" },
		{ "error: Failed to download `alpha==1.0`\n  cause: Hash mismatch for "
		  "`alpha==1.0`\n",
			"", "HASH_MISMATCH" },
		{ "ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE.\n", "",
			"HASH_MISMATCH" },
		{ "  error: subprocess-exited-with-error\n", "", "BUILD_FAILED" },
		{ "error: Failed to build `broken==1.0`\n", "", "BUILD_FAILED" },
		{ "error: No solution found when resolving dependencies\n  cause: Because nosuch "
		  "was "
		  "not found in the package registry and\n",
			"", "PACKAGE_NOT_FOUND" },
		{ "error: No solution found when resolving dependencies\n  cause: Because there is "
		  "no "
		  "version of alpha==9.9\n",
			"", "VERSION_NOT_FOUND" },
		{ "ERROR: Could not find a version that satisfies the requirement nosuch (from "
		  "versions: none)\n",
			"", "PACKAGE_NOT_FOUND" },
		{ "ERROR: Could not find a version that satisfies the requirement a==9 (from "
		  "versions: 1)\n",
			"", "VERSION_NOT_FOUND" },
		{ "error: Failed to fetch: http://h/\n  cause: tcp connect error\n", "",
			"NETWORK_FAILED" },
		{ "hint: An index URL (U) could not be queried due to a lack of valid "
		  "authentication "
		  "credentials (401 Unauthorized)\n",
			"", "INDEX_REFUSED" },
		{ "anything else\n", "", "INSTALL_FAILED" },
		{ "", "", "INSTALL_FAILED" },
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(said); i++)
		cr_expect_str_eq(
			why(said[i].output, said[i].log), said[i].reason, "%s", said[i].output);
}

/* Of an index that it cannot hear, pip says that it has no such package. */
Test(installer, the_log_of_pip_tells_why_there_is_no_such_package)
{
	static const char none[] = "ERROR: No matching distribution found for a\n";

	cr_expect_str_eq(why(none, "t Could not fetch URL U: 404 Client Error: Not Found - skip\n"),
		"VERSION_NOT_FOUND");
	cr_expect_str_eq(why(none, "t Could not fetch URL U: 401 Client Error: Unauthorized\n"),
		"INDEX_REFUSED");
	cr_expect_str_eq(why(none, "x\nt Could not fetch URL U: connection error: refused\ny\n"),
		"NETWORK_FAILED");
	cr_expect(installer_understand(none, "Could not fetch URL U: timed out\n")->is_transient);
}

Test(installer, what_a_build_prints_is_not_taken_for_the_installers_words)
{
	cr_expect_str_eq(why("      Max retries exceeded\nerror: Failed to build `a`\n", ""),
		"BUILD_FAILED");
	cr_expect_str_eq(why("         DO NOT MATCH THE HASHES\n", ""), "INSTALL_FAILED");
}

Test(installer, nothing_secret_is_an_argument)
{
	struct installer installer = {
		.kind = INSTALLER_UV,
		.uv = "/usr/bin/uv",
		.python = "/usr/bin/python3",
		.source = "/s",
		.scratch = "/x",
		.tree = "/t",
		.index_url = "https://ann:sesame@h/simple",
	};
	struct installer_command command;
	bool is_told = false;
	char **word;

	installer_prepare(&installer, &command);
	for (word = command.argv; *word; word++)
		cr_expect_null(strstr(*word, "sesame"));
	for (word = command.environment; *word; word++)
		is_told |= strstr(*word, "sesame") != NULL;
	cr_expect(is_told);
	installer_command_deinit(&command);
	installer.is_offline = true;
	installer_prepare(&installer, &command);
	for (word = command.environment; *word; word++)
		cr_expect_null(strstr(*word, "sesame"));
	installer_command_deinit(&command);
}

/* ---- what is kept of its output */

Test(output, secrets_are_taken_out_of_urls)
{
	static const char *const texts[][2] = {
		{ "https://ann:sesame@host/simple", "https://host/simple" },
		{ "a http://t@h/ and ftp://u:p@q:1/x", "a http://h/ and ftp://q:1/x" },
		{ "https://a:p@ss@host/", "https://host/" },
		{ "https://host/a@b", "https://host/a@b" },
		{ "https://host", "https://host" },
		{ "mail ann@host", "mail ann@host" },
		{ "://", "://" },
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(texts); i++) {
		_cleanup_free_ char *text = text_copy(texts[i][0]);

		install_output_scrub(text);
		cr_expect_str_eq(text, texts[i][1]);
	}
}

static void add(struct install_output *output, const char *text)
{
	install_output_add(output, (const uint8_t *)text, strlen(text));
}

Test(output, a_secret_between_two_reads_is_seen)
{
	_cleanup_(install_output_deinit) struct install_output output;
	char tail[100];

	install_output_init(&output, -1, 0);
	add(&output, "one\r\nhttps://ann:se");
	add(&output, "same@host/\ntwo");
	install_output_end(&output);
	install_output_get_tail(&output, tail, sizeof(tail));
	cr_expect_str_eq(tail, "one\nhttps://host/\ntwo");
	install_output_get_tail(&output, tail, 8);
	cr_expect_str_eq(tail, "two");
	install_output_forget(&output);
	install_output_get_tail(&output, tail, sizeof(tail));
	cr_expect_str_eq(tail, "");
}

Test(output, of_a_line_without_end_the_beginning_is_kept)
{
	_cleanup_(install_output_deinit) struct install_output output;
	_cleanup_free_ char *tail = alloc0(1, INSTALL_OUTPUT_TAIL);
	size_t i;

	install_output_init(&output, -1, 0);
	add(&output, "begin ");
	for (i = 0; i < 2 * INSTALL_OUTPUT_LINE; i++)
		add(&output, "x");
	add(&output, "\nend\n");
	install_output_get_tail(&output, tail, INSTALL_OUTPUT_TAIL);
	cr_expect_str_eq(tail, "begin …\nend");
}
