/*
 * What a create costs when everything is there already.
 *
 *	bench-warm [-c CPU] SOCKET COUNT IN-FLIGHT ARCHIVE ARCHIVE
 *
 * After creates that prepare the two archives, until one finds nothing to do, COUNT creates on one connection,
 * IN-FLIGHT at a time; then every lease must be listed, and is released. Beside it a
 * bare ping-pong: messages of the same sizes over a Unix socket pair, with a child,
 * on CPU if that is said. Prints lines of "name value", times in microseconds.
 */
#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/util.h"
#include "client/address.h"
#include "proto/grpc.h"
#include "proto/message.h"
#include "pyenvd.pb-c.h"

#define PREFIX "/pyenvd.v1."
#define PING_ROUNDS 20000
#define PAGE 1000

typedef Pyenvd__V1__CreateEnvironmentRequest CreateRequest;
typedef Pyenvd__V1__CreateEnvironmentResponse CreateResponse;

struct bench {
	int fd;
	struct grpc *grpc;
	CreateRequest request;
	size_t request_size, response_size; /* as sent, without frames */

	/* One batch of calls. */
	size_t count, begun, ended, in_flight;
	struct call *calls;
	void (*begin)(struct bench *bench, struct call *call);
	char **ids; /* leases, owned */
	char *page_token; /* owned */
	size_t listed;
	bool is_hit; /* the last create */
	/* Creates that were no hits although their layers were there: now and then the
	 * kernel cannot resolve a path without waiting, and a worker is asked. */
	size_t missed;
};

struct call {
	struct bench *bench;
	size_t index;
	uint64_t begin_ns, took_ns;
};

static void die(const char *what)
{
	fprintf(stderr, "bench-warm: %s\n", what);
	exit(EXIT_FAILURE);
}

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static int compare_numbers(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static int compare_texts(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* ---- calls */

static void begin_next(struct bench *bench)
{
	struct call *call = &bench->calls[bench->begun];

	call->bench = bench;
	call->index = bench->begun++;
	call->begin_ns = now_ns();
	bench->begin(bench, call);
}

static void on_end(struct grpc_call *grpc_call, const struct grpc_result *result)
{
	struct call *call = grpc_call->data;
	struct bench *bench = call->bench;

	if (result->code)
		die(text_is_empty(result->message) ? "a call failed" : result->message);
	call->took_ns = now_ns() - call->begin_ns;
	bench->ended++;
	if (bench->begun < bench->count)
		begin_next(bench);
}

static void *unpack(const ProtobufCMessageDescriptor *descriptor, const uint8_t *data, size_t size)
{
	ProtobufCMessage *message;
	struct error err = { 0 };

	if (message_unpack(descriptor, data, size, &message, &err))
		die(err.text);
	return message;
}

static void send_call(struct bench *bench, struct call *call, const char *path,
	const struct grpc_call_callbacks *callbacks, const ProtobufCMessage *message)
{
	struct grpc_call *grpc_call;

	grpc_call = grpc_call_begin(bench->grpc, path, GRPC_NO_TIMEOUT, callbacks, call);
	if (!grpc_call)
		die("the connection takes no more calls");
	grpc_call_send_message(grpc_call, message);
	grpc_call_half_close(grpc_call);
}

static void push(struct bench *bench)
{
	const uint8_t *bytes;
	size_t size;
	ssize_t n;

	while ((size = grpc_pull(bench->grpc, &bytes))) {
		n = send(bench->fd, bytes, size, MSG_NOSIGNAL);
		if (n < 0 && errno == EAGAIN)
			return;
		if (n < 0)
			die("the daemon is gone");
		grpc_taken(bench->grpc, (size_t)n);
	}
}

/* Reads once, after waiting. */
static void receive(struct bench *bench)
{
	struct pollfd fd = { .fd = bench->fd, .events = POLLIN };
	struct error err = { 0 };
	const uint8_t *bytes;
	uint8_t data[65536];
	ssize_t n;

	if (grpc_pull(bench->grpc, &bytes))
		fd.events |= POLLOUT;
	poll(&fd, 1, -1);
	if (!(fd.revents & ~POLLOUT))
		return;
	n = recv(bench->fd, data, sizeof(data), 0);
	if (n == 0 || (n < 0 && errno != EAGAIN))
		die("the daemon is gone");
	if (n > 0 && grpc_receive(bench->grpc, data, (size_t)n, &err))
		die(err.text);
}

/* Nanoseconds for all. */
static uint64_t run(struct bench *bench, size_t count, size_t in_flight,
	void (*begin)(struct bench *bench, struct call *call))
{
	uint64_t from = now_ns();

	bench->count = count;
	bench->begun = bench->ended = 0;
	bench->begin = begin;
	while (bench->begun < count && bench->begun < in_flight)
		begin_next(bench);
	for (;;) {
		push(bench);
		if (bench->ended == count)
			break;
		receive(bench);
	}
	return now_ns() - from;
}

/* ---- create, list, release */

static void check_layers(const CreateResponse *response)
{
	size_t i;

	for (i = 0; i < response->n_layers; i++)
		if (response->layers[i]->origin != PYENVD__V1__LAYER_ORIGIN__LAYER_ORIGIN_FOUND)
			die("a create found something to make");
}

static void on_created(struct grpc_call *grpc_call, const uint8_t *data, size_t size)
{
	struct call *call = grpc_call->data;
	struct bench *bench = call->bench;
	CreateResponse *response = unpack(
		&pyenvd__v1__create_environment_response__descriptor, data, size);

	if (bench->ids) {
		check_layers(response);
		bench->ids[call->index] = text_copy(response->lease_id);
		bench->missed += !response->hit;
	}
	bench->is_hit = response->hit;
	bench->response_size = size;
	message_free(response);
}

static void begin_create(struct bench *bench, struct call *call)
{
	static const struct grpc_call_callbacks callbacks = {
		.on_message = on_created,
		.on_end = on_end,
	};

	send_call(bench, call, PREFIX "Environments/CreateEnvironment", &callbacks,
		&bench->request.base);
}

static void on_page(struct grpc_call *grpc_call, const uint8_t *data, size_t size)
{
	struct bench *bench = ((struct call *)grpc_call->data)->bench;
	Pyenvd__V1__ListLeasesResponse *response = unpack(
		&pyenvd__v1__list_leases_response__descriptor, data, size);
	size_t i;

	for (i = 0; i < response->n_leases; i++)
		bench->listed += bsearch(&response->leases[i]->lease_id, bench->ids, bench->count,
					 sizeof(*bench->ids), compare_texts) != NULL;
	free(bench->page_token);
	bench->page_token = text_copy(response->next_page_token);
	message_free(response);
}

static void begin_page(struct bench *bench, struct call *call)
{
	static const struct grpc_call_callbacks callbacks = {
		.on_message = on_page,
		.on_end = on_end,
	};
	Pyenvd__V1__ListRequest request = PYENVD__V1__LIST_REQUEST__INIT;

	request.page_size = PAGE;
	request.page_token = bench->page_token;
	send_call(bench, call, PREFIX "Admin/ListLeases", &callbacks, &request.base);
}

static void list_all(struct bench *bench, size_t count)
{
	struct call call = { .bench = bench };

	bench->page_token = text_copy("");
	bench->count = count;
	qsort(bench->ids, count, sizeof(*bench->ids), compare_texts);
	do {
		bench->ended = 0;
		begin_page(bench, &call);
		bench->begun = bench->count;
		while (bench->ended == 0) {
			push(bench);
			if (bench->ended == 0)
				receive(bench);
		}
	} while (!text_is_empty(bench->page_token));
	free(bench->page_token);
	if (bench->listed != count)
		die("not all leases are listed");
}

static void on_released(struct grpc_call *grpc_call, const uint8_t *data, size_t size)
{
	Pyenvd__V1__ReleaseEnvironmentResponse *response = unpack(
		&pyenvd__v1__release_environment_response__descriptor, data, size);

	if (!response->released)
		die("a lease was gone");
	message_free(response);
}

static void begin_release(struct bench *bench, struct call *call)
{
	static const struct grpc_call_callbacks callbacks = {
		.on_message = on_released,
		.on_end = on_end,
	};
	Pyenvd__V1__ReleaseEnvironmentRequest request =
		PYENVD__V1__RELEASE_ENVIRONMENT_REQUEST__INIT;

	request.lease_id = bench->ids[call->index];
	send_call(bench, call, PREFIX "Environments/ReleaseEnvironment", &callbacks, &request.base);
}

/* ---- the ping-pong */

static void carry(int fd, size_t size, bool is_read)
{
	static uint8_t bytes[65536];
	size_t done = 0;
	ssize_t n;

	while (done < size) {
		n = is_read ? read(fd, bytes, size - done) : write(fd, bytes, size - done);
		if (n <= 0)
			_exit(EXIT_FAILURE);
		done += (size_t)n;
	}
}

static pid_t fork_pong(const int fds[2], const struct bench *bench, int cpu)
{
	pid_t pid = fork();
	cpu_set_t set;

	if (pid < 0)
		die("cannot fork");
	if (pid > 0)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	close(fds[0]);
	CPU_ZERO(&set);
	if (cpu >= 0) {
		CPU_SET((size_t)cpu, &set);
		if (sched_setaffinity(0, sizeof(set), &set))
			_exit(EXIT_FAILURE);
	}
	/* Ends when the other side does. */
	for (;;) {
		carry(fds[1], bench->request_size, true);
		carry(fds[1], bench->response_size, false);
	}
}

static void ping(const struct bench *bench, int cpu, uint64_t *times)
{
	int fds[2], i;
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds))
		die("cannot make a socket pair");
	pid = fork_pong(fds, bench, cpu);
	close(fds[1]);
	for (i = 0; i < PING_ROUNDS; i++) {
		uint64_t from = now_ns();

		carry(fds[0], bench->request_size, false);
		carry(fds[0], bench->response_size, true);
		times[i] = now_ns() - from;
	}
	close(fds[0]);
	waitpid(pid, NULL, 0);
}

/* ---- the daemon's processor time */

/* Without its children; in microseconds, in steps of the kernel's clock tick. */
static uint64_t daemon_us(const struct bench *bench)
{
	struct ucred peer;
	socklen_t size = sizeof(peer);
	_cleanup_free_ char *path = NULL;
	unsigned long user = 0, system = 0;
	FILE *file;

	if (getsockopt(bench->fd, SOL_SOCKET, SO_PEERCRED, &peer, &size))
		die("cannot ask who the daemon is");
	path = text_format("/proc/%d/stat", (int)peer.pid);
	file = fopen(path, "re");
	if (!file ||
		fscanf(file, "%*d (%*[^)]) %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu",
			&user, &system) != 2)
		die("cannot read the daemon's times");
	fclose(file);
	return (user + system) * 1000000 / (unsigned long)sysconf(_SC_CLK_TCK);
}

/* ---- all of it */

static void print_times(const char *what, uint64_t *times, size_t count, uint64_t all_ns)
{
	qsort(times, count, sizeof(*times), compare_numbers);
	printf("%s_p50_us %.1f\n", what, (double)times[count / 2] / 1e3);
	printf("%s_p99_us %.1f\n", what, (double)times[count * 99 / 100] / 1e3);
	printf("%s_per_s %.0f\n", what, (double)count * 1e9 / (double)all_ns);
}

/* A digest of a file that has just been written is not kept: it may be written again. */
static void warm_up(struct bench *bench)
{
	int i;

	for (i = 0; i < 600 && !bench->is_hit; i++) {
		if (i)
			usleep(100000);
		run(bench, 1, 1, begin_create);
	}
}

static void measure(struct bench *bench, size_t count, size_t in_flight, int cpu)
{
	uint64_t *times = new0_array(uint64_t, count + PING_ROUNDS), all_ns, from, spent_us;
	size_t i;

	bench->calls = new0_array(struct call, count);
	warm_up(bench);
	bench->ids = new0_array(char *, count);
	spent_us = daemon_us(bench);
	all_ns = run(bench, count, in_flight, begin_create);
	spent_us = daemon_us(bench) - spent_us;
	for (i = 0; i < count; i++)
		times[i] = bench->calls[i].took_ns;
	print_times("create", times, count, all_ns);
	printf("create_daemon_us %.1f\n", (double)spent_us / (double)count);
	printf("missed %zu\n", bench->missed);
	from = now_ns();
	list_all(bench, count);
	printf("list_ms %.1f\n", (double)(now_ns() - from) / 1e6);
	all_ns = run(bench, count, in_flight, begin_release);
	printf("release_per_s %.0f\n", (double)count * 1e9 / (double)all_ns);
	from = now_ns();
	ping(bench, cpu, times);
	print_times("ping", times, PING_ROUNDS, now_ns() - from);
	printf("request_bytes %zu\nresponse_bytes %zu\n", bench->request_size,
		bench->response_size);
	for (i = 0; i < count; i++)
		free(bench->ids[i]);
	free(bench->ids);
	free(bench->calls);
	free(times);
}

int main(int argc, char **argv)
{
	Pyenvd__V1__Archive archives[2] = { PYENVD__V1__ARCHIVE__INIT, PYENVD__V1__ARCHIVE__INIT };
	Pyenvd__V1__Archive *pointers[] = { &archives[0], &archives[1] };
	struct bench bench = { .request = PYENVD__V1__CREATE_ENVIRONMENT_REQUEST__INIT };
	struct grpc_config config = { 0 };
	uint64_t count, in_flight, cpu = 0;
	bool has_cpu = argc > 2 && strcmp(argv[1], "-c") == 0;
	char **words = argv + (has_cpu ? 3 : 1);
	struct error err = { 0 };

	if (argc != (has_cpu ? 8 : 6) || (has_cpu && parse_u64(argv[2], &cpu)) ||
		parse_u64(words[1], &count) || parse_u64(words[2], &in_flight) || !count ||
		!in_flight)
		die("usage: bench-warm [-c CPU] SOCKET COUNT IN-FLIGHT ARCHIVE ARCHIVE");
	archives[0].path = words[3];
	archives[0].target_dir = (char *)"venv";
	archives[1].path = words[4];
	archives[1].target_dir = (char *)"model";
	bench.request.archives = pointers;
	bench.request.n_archives = ARRAY_SIZE(pointers);
	bench.request_size = protobuf_c_message_get_packed_size(&bench.request.base);
	bench.fd = address_connect(words[0], 0, &err);
	if (bench.fd < 0)
		die(err.text);
	bench.grpc = grpc_client_new(&config, "localhost");
	measure(&bench, count, in_flight, has_cpu ? (int)cpu : -1);
	grpc_free(bench.grpc);
	close(bench.fd);
	return 0;
}
