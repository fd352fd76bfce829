#include <errno.h>
#include <stdio.h>
#include "base/error.h"
#include "client/command.h"
#include "client/session.h"

static void print_overview(void)
{
	const struct command *const *row;

	puts("Usage: pyenvctl [OPTION…] VERB [OPTION…] [ARGUMENT…]\n\n"
	     "Asks pyenvd for prepared Python environments, and about them.\n\n"
	     "Verbs:");
	for (row = command_table(); *row; row++)
		printf("  %-10s  %s\n", (*row)->name, (*row)->summary);
	puts("\nOptions of all verbs:");
	arguments_print_help(session_arguments, stdout);
	puts("\n'pyenvctl VERB --help' says more about a verb; pyenvctl(1) about all.");
}

static void print_command(const struct command *command)
{
	size_t i;

	printf("Usage: pyenvctl %s [OPTION…]%s%s\n\n", command->name, *command->words ? " " : "",
		command->words);
	printf("%s.\n", command->summary);
	if (command->about)
		printf("\n%s\n", command->about);
	if (command->arguments[0])
		puts("\nOptions:");
	for (i = 0; i < ARRAY_SIZE(command->arguments) && command->arguments[i]; i++)
		arguments_print_help(command->arguments[i], stdout);
	puts("\nOptions of all verbs:");
	arguments_print_help(session_arguments, stdout);
}

static int run(struct session *session, void *data)
{
	const struct command *command = session->command;
	struct error err = { 0 };

	if (command == &command_help)
		command = session->word_count ? command_find(session->words[0]) : NULL;
	if (session->word_count && !command) {
		fail(&err, -EINVAL, NULL, "unknown verb '%s'", session->words[0]);
		return session_fail_usage(session, &err);
	}
	if (command && command != &command_help)
		print_command(command);
	else
		print_overview();
	return EXIT_DONE;
}

const struct command command_help = {
	.name = "help",
	.words = "[VERB]",
	.summary = "Show help, or that of a verb",
	.max_words = 1,
	.is_offline = true,
	.run = run,
};
