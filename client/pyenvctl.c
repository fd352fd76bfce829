/* The command line of pyenvd: finds the verb, reads the options, runs it. */
#include <errno.h>
#include <locale.h>
#include <stdio.h>
#include "base/error.h"
#include "base/util.h"
#include "proto/arguments.h"
#include "client/command.h"
#include "client/session.h"

#ifndef PYENVD_VERSION
#error "PYENVD_VERSION comes from the build"
#endif

static const struct command *const commands[] = {
	&command_create,
	&command_run,
	&command_release,
	&command_renew,
	&command_token,
	&command_hash,
	&command_explain,
	&command_upload,
	&command_bundle,
	&command_status,
	&command_list,
	&command_show,
	&command_collect,
	&command_help,
	NULL,
};

const struct command *const *command_table(void)
{
	return commands;
}

const struct command *command_find(const char *name)
{
	const struct command *const *row;

	for (row = commands; *row; row++)
		if (strcmp((*row)->name, name) == 0)
			return *row;
	return NULL;
}

static int check_word_count(const struct session *session, struct error *err)
{
	const struct command *command = session->command;

	if (session->word_count < command->min_words)
		return fail(err, -EINVAL, NULL, "%s: %s missing; usage: pyenvctl %s [OPTION…] %s",
			command->name, command->min_words == 1 ? "an argument is" : "arguments are",
			command->name, command->words);
	if (session->word_count > command->max_words)
		return fail(err, -EINVAL, NULL, "%s: unexpected argument '%s'", command->name,
			session->words[command->max_words]);
	return 0;
}

/* What was printed must have arrived. */
static int finish_output(const struct session *session, int code)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return code;
	return code ? code
		    : session_fail_here(session, EXIT_REFUSED, "cannot write the output: %s",
			      strerror(errno));
}

static int run_command(struct session *session, int argc, char **argv)
{
	const struct command *command = session->command;
	_cleanup_free_ void *data = alloc0(1, command->data_size + 1);
	struct argument_set sets[] = {
		{ session_arguments, session },
		{ command->arguments[0], data },
		{ command->arguments[1], data },
		{ command->arguments[2], data },
	};
	_cleanup_(arguments_deinit) struct arguments arguments = {
		.sets = sets,
		.set_count = ARRAY_SIZE(sets),
		.is_command = command->is_command,
	};
	struct error err = { 0 };
	int code = EXIT_DONE, r;

	r = arguments_parse(&arguments, argc, argv, &err);
	session->words = arguments.words;
	session->word_count = arguments.word_count;
	if (!r && !session->wants_help && !session->wants_version)
		r = check_word_count(session, &err);
	if (r)
		code = session_fail_usage(session, &err);
	else if (session->wants_version)
		printf("pyenvctl %s\n", PYENVD_VERSION);
	else if (session->wants_help)
		code = command_help.run(session, NULL);
	else if (!command->is_offline)
		code = session_connect(session);
	if (!r && !code && !session->wants_help && !session->wants_version)
		code = command->run(session, data);
	if (command->deinit)
		command->deinit(data);
	return finish_output(session, code);
}

/* Options before the verb. The verb, with all behind it, is left in @argv. */
static int find_verb(struct session *session, int *argc, char ***argv, struct error *err)
{
	struct argument_set set = { session_arguments, session };
	_cleanup_(arguments_deinit) struct arguments arguments = {
		.sets = &set,
		.set_count = 1,
		.is_command = true,
	};
	int r;

	r = arguments_parse(&arguments, *argc, *argv, err);
	if (r)
		return r;
	*argv += *argc - (int)arguments.word_count;
	*argc = (int)arguments.word_count;
	if (!*argc && (session->wants_help || session->wants_version)) {
		session->command = &command_help;
		return 0;
	}
	if (!*argc)
		return fail(err, -EINVAL, NULL, "what is to be done? Say a verb, such as 'status'");
	session->command = command_find(**argv);
	if (!session->command)
		return fail(err, -EINVAL, NULL, "unknown verb '%s'", **argv);
	(*argc)--;
	(*argv)++;
	return 0;
}

int main(int argc, char **argv)
{
	struct session session = { .program = "pyenvctl" };
	struct error err = { 0 };
	int code;

	setlocale(LC_CTYPE, "");
	argc -= argc > 0;
	argv++;
	if (find_verb(&session, &argc, &argv, &err))
		code = session_fail_usage(&session, &err);
	else
		code = run_command(&session, argc, argv);
	session_deinit(&session);
	return code;
}
