/*
 * A worker that does what the path of its Digest job says, for tests of the pool:
 *
 *	/answer    opens, then answers
 *	/fail      answers with a failure
 *	/exit      ends without an answer
 *	/crash     ends by a signal
 *	/hang      never opens
 *	/work      opens, reports progress, and never ends
 *	/nonsense  sends what is no message
 */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "worker.pb-c.h"

static void send_event(Pyenvd__Worker__Event *event)
{
	uint8_t packet[4096];
	size_t size = pyenvd__worker__event__pack(event, packet);

	if (send(3, packet, size, MSG_NOSIGNAL) < 0)
		_exit(1);
}

static void send_opened(void)
{
	Pyenvd__Worker__FileIdentity file = PYENVD__WORKER__FILE_IDENTITY__INIT;
	Pyenvd__Worker__Opened opened = PYENVD__WORKER__OPENED__INIT;
	Pyenvd__Worker__Event event = PYENVD__WORKER__EVENT__INIT;

	opened.identity = &file;
	event.event_case = PYENVD__WORKER__EVENT__EVENT_OPENED;
	event.opened = &opened;
	send_event(&event);
}

static void send_progress(void)
{
	Pyenvd__Worker__Progress progress = PYENVD__WORKER__PROGRESS__INIT;
	Pyenvd__Worker__Event event = PYENVD__WORKER__EVENT__INIT;

	progress.phase = PYENVD__WORKER__PHASE__PHASE_EXTRACT;
	progress.done_bytes = 17;
	event.event_case = PYENVD__WORKER__EVENT__EVENT_PROGRESS;
	event.progress = &progress;
	send_event(&event);
}

static void send_answer(void)
{
	static uint8_t digest[32] = { 0xab };
	Pyenvd__Worker__FileIdentity file = PYENVD__WORKER__FILE_IDENTITY__INIT;
	Pyenvd__Worker__Digested digested = PYENVD__WORKER__DIGESTED__INIT;
	Pyenvd__Worker__Event event = PYENVD__WORKER__EVENT__INIT;

	file.ino = 5;
	digested.identity = &file;
	digested.sha256.data = digest;
	digested.sha256.len = sizeof(digest);
	event.event_case = PYENVD__WORKER__EVENT__EVENT_DIGESTED;
	event.digested = &digested;
	send_event(&event);
}

static void send_failure(void)
{
	Pyenvd__Worker__Failure failure = PYENVD__WORKER__FAILURE__INIT;
	Pyenvd__Worker__Event event = PYENVD__WORKER__EVENT__INIT;

	failure.error = 2;
	failure.reason = (char *)"SOURCE_NOT_FOUND";
	failure.text = (char *)"'/fail' is not there";
	event.event_case = PYENVD__WORKER__EVENT__EVENT_FAILURE;
	event.failure = &failure;
	send_event(&event);
}

static void act(const char *path)
{
	if (strcmp(path, "/crash") == 0)
		kill(getpid(), SIGKILL);
	if (strcmp(path, "/nonsense") == 0)
		send(3, "\xff\xff\xff", 3, 0);
	if (strcmp(path, "/fail") == 0)
		send_failure();
	if (strcmp(path, "/answer") == 0 || strcmp(path, "/work") == 0)
		send_opened();
	if (strcmp(path, "/work") == 0)
		send_progress();
	if (strcmp(path, "/hang") == 0 || strcmp(path, "/work") == 0)
		pause();
	if (strcmp(path, "/answer") == 0)
		send_answer();
}

int main(void)
{
	uint8_t packet[65536];
	ssize_t n = recv(3, packet, sizeof(packet), 0);
	Pyenvd__Worker__Job *job = n > 0 ? pyenvd__worker__job__unpack(NULL, (size_t)n, packet)
					 : NULL;
	int code = 9;

	if (job && job->job_case == PYENVD__WORKER__JOB__JOB_DIGEST) {
		const char *path = job->digest->source->path;

		act(path);
		code = strcmp(path, "/exit") == 0 ? 3 : 0;
	}
	pyenvd__worker__job__free_unpacked(job, NULL);
	return code;
}
