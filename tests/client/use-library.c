/*
 * libpyenvd as a stranger uses it: the library, shared or static, the installed
 * header, no other part of this tree. Its argument is the socket of fake_pyenvd.py; what it
 * finds wrong, it says, and ends.
 */
#include <pthread.h>
#include <pyenvd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#define CHECK(claim)                                                                               \
	do {                                                                                       \
		if (!(claim)) {                                                                    \
			fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #claim);        \
			exit(1);                                                                   \
		}                                                                                  \
	} while (0)

/* Names that the library uses inside, and that are nobody's. */
int fail(void);
void buffer_append(void);

int fail(void)
{
	abort();
}

void buffer_append(void)
{
	abort();
}

static struct pyenvd *client;
static struct pyenvd_error error;

static void check_calls(void)
{
	Pyenvd__V1__ListRequest request = PYENVD__V1__LIST_REQUEST__INIT;
	Pyenvd__V1__CollectRequest collect = PYENVD__V1__COLLECT_REQUEST__INIT;
	Pyenvd__V1__ListEnvironmentsResponse *environments;
	Pyenvd__V1__ListCreationsResponse *creations;
	Pyenvd__V1__ListLayersResponse *layers;
	Pyenvd__V1__ListLeasesResponse *leases;
	Pyenvd__V1__CollectResponse *collected;
	Pyenvd__V1__GetStatusResponse *status;
	Pyenvd__V1__ShowResponse *shown;
	char *token = NULL;
	int64_t end;
	bool was_there;

	CHECK(pyenvd_list_environments(client, &request, &environments, &error) == PYENVD_OK);
	CHECK(pyenvd_list_creations(client, &request, &creations, &error) == PYENVD_OK);
	CHECK(pyenvd_list_layers(client, &request, &layers, &error) == PYENVD_OK);
	CHECK(pyenvd_list_leases(client, &request, &leases, &error) == PYENVD_OK);
	CHECK(leases->n_leases == 2 && strcmp(leases->next_page_token, "2") == 0);
	CHECK(pyenvd_collect(client, &collect, &collected, &error) == PYENVD_OK);
	CHECK(collected->freed_bytes == 3 << 20);
	CHECK(pyenvd_get_status(client, &status, &error) == PYENVD_OK);
	CHECK(pyenvd_show(client, "lease1", &shown, &error) == PYENVD_OK);
	CHECK(shown->found_case == PYENVD__V1__SHOW_RESPONSE__FOUND_LEASE);
	CHECK(pyenvd_create_retrieval_token(client, "lease1", &token, &error) == PYENVD_OK);
	CHECK(strcmp(token, "/leases/lease1/t.json") == 0);
	free(token);
	CHECK(pyenvd_renew_lease(client, "lease1", 10, &end, &error) == PYENVD_OK);
	CHECK(end == 1700000010000);
	CHECK(pyenvd_release_environment(client, "gone", &was_there, NULL) == PYENVD_OK);
	CHECK(!was_there);
	pyenvd_message_free(environments);
	pyenvd_message_free(creations);
	pyenvd_message_free(layers);
	pyenvd_message_free(leases);
	pyenvd_message_free(collected);
	pyenvd_message_free(status);
	pyenvd_message_free(shown);
	pyenvd_message_free(NULL);
}

static void check_errors(void)
{
	Pyenvd__V1__ListRequest request = PYENVD__V1__LIST_REQUEST__INIT;
	ProtobufCMessage *answer;
	bool was_there;

	CHECK(pyenvd_release_environment(client, "foreign", &was_there, &error) ==
		PYENVD_PERMISSION_DENIED);
	CHECK(!error.is_local && strcmp(error.reason, "NOT_ALLOWED") == 0);
	CHECK(strcmp(error.message, "not yours") == 0);
	CHECK(pyenvd_release_environment(client, "foreign", &was_there, NULL) ==
		PYENVD_PERMISSION_DENIED);
	CHECK(pyenvd_call(client, "Nothing", &request.base, &answer, &error) ==
		PYENVD_UNIMPLEMENTED);
	CHECK(error.is_local);
	CHECK(pyenvd_call(client, "Show", &request.base, &answer, &error) == PYENVD_UNIMPLEMENTED);
	CHECK(strcmp(pyenvd_code_name(PYENVD_ABORTED), "ABORTED") == 0);
	CHECK(pyenvd_close(NULL) == NULL);
}

static void count_progress(const Pyenvd__V1__Progress *progress, void *data)
{
	CHECK(progress->total_bytes == 4 << 20);
	++*(int *)data;
}

static void check_create(void)
{
	Pyenvd__V1__CreateEnvironmentRequest request = PYENVD__V1__CREATE_ENVIRONMENT_REQUEST__INIT;
	Pyenvd__V1__CreateEnvironmentResponse *environment;
	int count = 0;
	struct pyenvd_watcher watcher = { .on_progress = count_progress, .data = &count };

	CHECK(pyenvd_create_environment(client, &request, NULL, &environment, &error) == PYENVD_OK);
	CHECK(strcmp(environment->lease_id, "lease1") == 0);
	pyenvd_message_free(environment);
	CHECK(pyenvd_create_environment(client, &request, &watcher, &environment, &error) ==
		PYENVD_OK);
	CHECK(strcmp(environment->lease_id, "lease1") == 0 && count == 5);
	pyenvd_message_free(environment);
	request.label = (char *)"refused";
	CHECK(pyenvd_create_environment(client, &request, &watcher, &environment, &error) ==
		PYENVD_NOT_FOUND);
	CHECK(strcmp(error.reason, "SOURCE_NOT_FOUND") == 0);
}

static bool on_message(const ProtobufCMessage *message, void *data)
{
	CHECK(message->descriptor == &pyenvd__v1__hold_lease_event__descriptor);
	return *(bool *)data;
}

static void check_hold(void)
{
	bool goes_on = true;
	struct pyenvd_listener listener = { .on_message = on_message, .data = &goes_on };

	CHECK(pyenvd_hold_lease(client, "lease1", &listener, &error) == PYENVD_ABORTED);
	CHECK(strcmp(error.reason, "LEASE_RELEASED") == 0 && !error.is_local);
	goes_on = false;
	CHECK(pyenvd_hold_lease(client, "lease1", &listener, &error) == PYENVD_CANCELLED);
	CHECK(error.is_local);
}

struct content {
	unsigned long size, done, fails_at; /* 0: never */
};

static long read_content(void *buffer, unsigned long size, void *data)
{
	struct content *content = data;

	if (content->fails_at && content->done >= content->fails_at)
		return -1;
	if (size > content->size - content->done)
		size = content->size - content->done;
	memset(buffer, 'x', size);
	content->done += size;
	return (long)size;
}

/* Much more than waits anywhere for somebody who does not read it. */
#define LARGE (64UL << 20)

static void check_upload(void)
{
	Pyenvd__V1__UploadArtifactResponse *uploaded;
	Pyenvd__V1__FindArtifactResponse *found;
	struct content content = { .size = LARGE };
	struct pyenvd_reader reader = { .read = read_content, .data = &content };

	CHECK(pyenvd_upload_artifact(client, "new", LARGE, &reader, &uploaded, &error) ==
		PYENVD_OK);
	CHECK(content.done == LARGE && uploaded->artifact->size_bytes == LARGE);
	pyenvd_message_free(uploaded);
	content = (struct content){ .size = LARGE };
	CHECK(pyenvd_upload_artifact(client, "there", LARGE, &reader, &uploaded, &error) ==
		PYENVD_OK);
	CHECK(content.done < LARGE && uploaded->was_there);
	pyenvd_message_free(uploaded);
	content = (struct content){ .size = LARGE };
	CHECK(pyenvd_upload_artifact(client, "refused", LARGE, &reader, &uploaded, &error) ==
		PYENVD_RESOURCE_EXHAUSTED);
	CHECK(content.done < LARGE && strcmp(error.reason, "LIMIT_EXCEEDED") == 0);
	content = (struct content){ .size = LARGE, .fails_at = 1 << 20 };
	CHECK(pyenvd_upload_artifact(client, "new", LARGE, &reader, &uploaded, &error) ==
		PYENVD_CANCELLED);
	CHECK(pyenvd_find_artifact(client, "there", &found, &error) == PYENVD_OK);
	CHECK(found->artifact->size_bytes == 7);
	pyenvd_message_free(found);
	CHECK(pyenvd_find_artifact(client, "new", &found, &error) == PYENVD_NOT_FOUND);
	CHECK(strcmp(error.reason, "ARTIFACT_NOT_FOUND") == 0);
}

static void check_explain(void)
{
	Pyenvd__V1__CreateEnvironmentRequest request = PYENVD__V1__CREATE_ENVIRONMENT_REQUEST__INIT;
	Pyenvd__V1__ExplainEnvironmentResponse *explained;

	request.label = (char *)"known";
	CHECK(pyenvd_explain_environment(client, &request, &explained, &error) == PYENVD_OK);
	CHECK(explained->known && explained->ready);
	pyenvd_message_free(explained);
}

static void *cancel_soon(void *data)
{
	usleep(100000);
	pyenvd_cancel(client);
	return NULL;
}

static void on_alarm(int number)
{
	pyenvd_cancel(client);
}

static void check_cancel(void)
{
	Pyenvd__V1__CreateEnvironmentRequest request = PYENVD__V1__CREATE_ENVIRONMENT_REQUEST__INIT;
	Pyenvd__V1__CreateEnvironmentResponse *environment;
	struct itimerval soon = { .it_value = { .tv_usec = 100000 } };
	struct sigaction action = { .sa_handler = on_alarm };
	pthread_t thread;

	request.label = (char *)"slow";
	CHECK(pthread_create(&thread, NULL, cancel_soon, NULL) == 0);
	CHECK(pyenvd_create_environment(client, &request, NULL, &environment, &error) ==
		PYENVD_CANCELLED);
	pthread_join(thread, NULL);
	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &soon, NULL);
	CHECK(pyenvd_create_environment(client, &request, NULL, &environment, &error) ==
		PYENVD_CANCELLED);
	CHECK(error.is_local);
	/* With none running it is the next one, and only that. */
	pyenvd_cancel(client);
	pyenvd_cancel(client);
	CHECK(pyenvd_create_environment(client, &request, NULL, &environment, &error) ==
		PYENVD_CANCELLED);
	check_calls();
}

static void check_deadline(void)
{
	Pyenvd__V1__CreateEnvironmentRequest request = PYENVD__V1__CREATE_ENVIRONMENT_REQUEST__INIT;
	Pyenvd__V1__CreateEnvironmentResponse *environment;

	request.label = (char *)"slow";
	pyenvd_set_timeout(client, 100);
	CHECK(pyenvd_create_environment(client, &request, NULL, &environment, &error) ==
		PYENVD_DEADLINE_EXCEEDED);
	pyenvd_set_timeout(client, 0);
	check_calls();
}

/* Larger than any window, and than what a socket holds. */
static void check_large(void)
{
	Pyenvd__V1__CreateEnvironmentRequest request = PYENVD__V1__CREATE_ENVIRONMENT_REQUEST__INIT;
	Pyenvd__V1__CreateEnvironmentResponse *environment;
	Pyenvd__V1__CreateEnvironmentRequest__VariablesEntry entry =
		PYENVD__V1__CREATE_ENVIRONMENT_REQUEST__VARIABLES_ENTRY__INIT;
	Pyenvd__V1__CreateEnvironmentRequest__VariablesEntry *entries[] = { &entry };
	size_t i, size = 3 << 20;

	entry.key = (char *)"LARGE";
	entry.value = malloc(size + 1);
	memset(entry.value, 'x', size);
	entry.value[size] = 0;
	request.variables = entries;
	request.n_variables = 1;
	CHECK(pyenvd_create_environment(client, &request, NULL, &environment, &error) == PYENVD_OK);
	for (i = 0; strcmp(environment->variables[i]->key, "LARGE") != 0;)
		CHECK(++i < environment->n_variables);
	CHECK(strcmp(environment->variables[i]->value, entry.value) == 0);
	pyenvd_message_free(environment);
	free(entry.value);
}

int main(int argc, char **argv)
{
	CHECK(pyenvd_connect("/nonexistent", 0, &client, &error) == PYENVD_UNAVAILABLE);
	CHECK(error.is_local && strstr(error.message, "'/nonexistent'"));
	CHECK(pyenvd_connect(argv[1], 1000, &client, &error) == PYENVD_OK);
	check_calls();
	check_errors();
	check_create();
	check_hold();
	check_upload();
	check_explain();
	check_cancel();
	check_deadline();
	check_large();
	pyenvd_close(client);
	return 0;
}
