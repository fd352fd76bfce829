#include "proto/wire.h"

#include <criterion/criterion.h>
#include <errno.h>
#include "worker.pb-c.h"

Test(wire, an_extraction_goes_out_with_all_it_says)
{
	static const uint8_t digest[SHA256_SIZE] = { 1, 2, 3 };
	static const struct job_limits limits = { .max_bytes = 7, .max_ratio = 9 };
	gid_t groups[] = { 4, 5 };
	struct identity peer = { 1000, 1001, 2, groups };
	struct job job = {
		.kind = JOB_EXTRACT,
		.peer = &peer,
		.extract = {
			.path = "/a.zip",
			.expected = { .dev = 1, .ino = 2, .size = 3, .mtime_ns = 4, .ctime_ns = 5 },
			.layer = JOB_LAYER_FILE,
			.name = "a.py",
			.expected_sha256 = digest,
			.access_uid = 1000,
			.compile = JOB_COMPILE_NEVER,
			.limits = &limits,
			.threads = 2,
			.directory_fd = 42,
			.directory = "/state/layers/x",
			.header = "id x",
		},
	};
	_cleanup_buffer_ struct buffer packet = { 0 };
	Pyenvd__Worker__Job *message;
	int fds[JOB_MAX_FDS];
	size_t count;

	wire_encode_job(&job, &packet, fds, &count);
	cr_assert_eq(count, 1);
	cr_expect_eq(fds[0], 42);
	message = pyenvd__worker__job__unpack(NULL, packet.size, packet.data);
	cr_assert_not_null(message);
	cr_expect_eq(message->peer->uid, 1000);
	cr_expect_eq(message->peer->groups[1], 5);
	cr_assert_eq(message->job_case, PYENVD__WORKER__JOB__JOB_EXTRACT);
	cr_expect_str_eq(message->extract->source->path, "/a.zip");
	cr_expect_eq(message->extract->source->expected->ctime_ns, 5);
	cr_expect_eq(message->extract->kind, PYENVD__WORKER__KIND__KIND_FILE);
	cr_expect_eq(message->extract->expected_sha256.len, SHA256_SIZE);
	cr_expect_eq(message->extract->limits->max_ratio, 9);
	cr_expect_str_eq(message->extract->header, "id x");
	pyenvd__worker__job__free_unpacked(message, NULL);
}

Test(wire, a_start_is_told_of_twice)
{
	struct job job = { .kind = JOB_START, .start = { 5 } };
	Pyenvd__Worker__Started started = PYENVD__WORKER__STARTED__INIT;
	Pyenvd__Worker__Event event = PYENVD__WORKER__EVENT__INIT;
	_cleanup_buffer_ struct buffer packet = { 0 };
	struct job_progress progress;
	struct job_result result = { 0 };
	struct wire_kept kept = { 0 };
	struct error err = { 0 };
	enum wire_event kind;
	int fds[JOB_MAX_FDS];
	uint8_t data[64];
	size_t count;

	wire_encode_job(&job, &packet, fds, &count);
	cr_assert_eq(count, 1);
	cr_expect_eq(fds[0], 5);
	started.pid = 7;
	started.start = 8;
	event.event_case = PYENVD__WORKER__EVENT__EVENT_STARTED;
	event.started = &started;
	count = pyenvd__worker__event__pack(&event, data);
	cr_assert_eq(
		wire_decode_event(&job, data, count, &kind, &result, &kept, &progress, &err), 0);
	cr_expect_eq(kind, WIRE_STARTED);
	cr_expect(result.process.pid == 7 && result.process.start == 8);
	wire_kept_deinit(&kept);
}

Test(wire, an_open_source_and_an_upload_bring_their_descriptors)
{
	static const struct job_limits limits = { 0 };
	struct job extract = {
		.kind = JOB_EXTRACT,
		.extract = { .path = "p",
			.limits = &limits,
			.directory = "d",
			.directory_fd = 5,
			.has_source = true,
			.source_fd = 6 },
	};
	struct job receive = { .kind = JOB_RECEIVE, .receive = { 7, 8, 9, 10 } };
	_cleanup_buffer_ struct buffer one = { 0 }, two = { 0 };
	Pyenvd__Worker__Job *message;
	int fds[JOB_MAX_FDS];
	size_t count;

	wire_encode_job(&extract, &one, fds, &count);
	cr_assert_eq(count, 2);
	cr_expect_eq(fds[1], 6);
	message = pyenvd__worker__job__unpack(NULL, one.size, one.data);
	cr_assert_not_null(message);
	cr_expect(message->extract->source_is_open);
	pyenvd__worker__job__free_unpacked(message, NULL);

	wire_encode_job(&receive, &two, fds, &count);
	cr_assert_eq(count, 2);
	cr_expect_eq(fds[0], 7);
	cr_expect_eq(fds[1], 8);
	message = pyenvd__worker__job__unpack(NULL, two.size, two.data);
	cr_assert_not_null(message);
	cr_assert_eq(message->job_case, PYENVD__WORKER__JOB__JOB_RECEIVE);
	cr_expect_eq(message->receive->size, 9);
	cr_expect_eq(message->receive->reserve_bytes, 10);
	pyenvd__worker__job__free_unpacked(message, NULL);
}

Test(wire, a_digest_takes_along_where_it_copies_to)
{
	struct job digest = {
		.kind = JOB_DIGEST,
		.digest = { .path = "/a", .copy = true, .copy_fd = 5, .reserve_bytes = 9 },
	};
	_cleanup_buffer_ struct buffer one = { 0 }, two = { 0 };
	Pyenvd__Worker__Job *message;
	int fds[JOB_MAX_FDS];
	size_t count;

	wire_encode_job(&digest, &one, fds, &count);
	cr_assert_eq(count, 1);
	cr_expect_eq(fds[0], 5);
	message = pyenvd__worker__job__unpack(NULL, one.size, one.data);
	cr_assert_not_null(message);
	cr_expect(message->digest->copy);
	cr_expect_eq(message->digest->reserve_bytes, 9);
	pyenvd__worker__job__free_unpacked(message, NULL);

	digest.digest.copy = false;
	wire_encode_job(&digest, &two, fds, &count);
	cr_expect_eq(count, 0);
}

Test(wire, uploads_come_last)
{
	static const struct job_upload files[] = {
		{ (char *)"r.txt", (char *)"1-0" },
		{ (char *)"b.txt", (char *)"2-0" },
	};
	static const struct job_upload package = { (char *)"a.whl", (char *)"3-0" };
	static const uint8_t digest[SHA256_SIZE];
	static const struct job_limits limits;
	struct job_uploads uploads = { 9, files, 2, true, &package, 1 };
	struct job read = {
		.kind = JOB_REQUIREMENTS,
		.requirements = { .path = "r.txt", .uploads = &uploads },
	};
	struct job install = {
		.kind = JOB_INSTALL,
		.install = {
			.source = { .path = "r.txt", .uploads = &uploads },
			.expected_sha256 = digest,
			.python = "/p",
			.limits = &limits,
			.directory_fd = 5,
			.log_fd = 6,
			.interpreter_layer_fd = -1,
			.directory = "/d",
			.header = "",
			.log_path = "/l",
		},
	};
	_cleanup_buffer_ struct buffer one = { 0 }, two = { 0 };
	Pyenvd__Worker__Job *message;
	int fds[JOB_MAX_FDS];
	size_t count;

	wire_encode_job(&read, &one, fds, &count);
	cr_assert_eq(count, 1);
	cr_expect_eq(fds[0], 9);
	message = pyenvd__worker__job__unpack(NULL, one.size, one.data);
	cr_assert_not_null(message);
	cr_assert_eq(message->requirements->uploads->n_files, 2);
	cr_expect_str_eq(message->requirements->uploads->files[1]->file, "2-0");
	cr_assert_eq(message->requirements->uploads->n_packages, 1);
	cr_expect_str_eq(message->requirements->uploads->packages[0]->name, "a.whl");
	cr_expect(message->requirements->uploads->has_packages);
	pyenvd__worker__job__free_unpacked(message, NULL);
	cr_expect_null(job_opened_path(&read));

	wire_encode_job(&install, &two, fds, &count);
	cr_assert_eq(count, 3);
	cr_expect_eq(fds[2], 9);
	install.install.interpreter_layer_fd = 7;
	cr_assert_eq(job_list_fds(&install, fds), 4);
	cr_expect_eq(fds[2], 7);
	cr_expect_eq(fds[3], 9);
}

Test(wire, processes_to_end_go_out_with_when_they_started)
{
	static const struct process processes[] = { { 7, 8 }, { 9, UINT64_MAX } };
	struct identity peer = { .uid = 1000, .gid = 1001 };
	struct job job = {
		.kind = JOB_END_PROCESSES,
		.peer = &peer,
		.end = { processes, 2, 5000 },
	};
	_cleanup_buffer_ struct buffer packet = { 0 };
	Pyenvd__Worker__Job *message;
	int fds[JOB_MAX_FDS];
	size_t count;

	wire_encode_job(&job, &packet, fds, &count);
	cr_expect_eq(count, 0);
	message = pyenvd__worker__job__unpack(NULL, packet.size, packet.data);
	cr_assert_not_null(message);
	cr_assert_eq(message->job_case, PYENVD__WORKER__JOB__JOB_END_PROCESSES);
	cr_expect_eq(message->peer->uid, 1000);
	cr_assert_eq(message->end_processes->n_processes, 2);
	cr_expect_eq(message->end_processes->processes[0]->pid, 7);
	cr_expect_eq(message->end_processes->processes[1]->start, UINT64_MAX);
	cr_expect_eq(message->end_processes->grace_ms, 5000);
	pyenvd__worker__job__free_unpacked(message, NULL);
}

static struct job_result result;
static struct wire_kept kept;
static struct job_progress progress;
static struct error err;

static int decode(enum job_kind kind, Pyenvd__Worker__Event *event, enum wire_event *ret)
{
	struct job job = { .kind = kind };
	uint8_t packet[1024];
	size_t size = pyenvd__worker__event__pack(event, packet);

	return wire_decode_event(&job, packet, size, ret, &result, &kept, &progress, &err);
}

Test(wire, a_digest_ends_a_job_but_not_an_extraction)
{
	static uint8_t digest[SHA256_SIZE] = { 7 };
	Pyenvd__Worker__Digested digested = PYENVD__WORKER__DIGESTED__INIT;
	Pyenvd__Worker__Event event = PYENVD__WORKER__EVENT__INIT;
	enum wire_event what;

	digested.sha256.data = digest;
	digested.sha256.len = SHA256_SIZE;
	event.event_case = PYENVD__WORKER__EVENT__EVENT_DIGESTED;
	event.digested = &digested;
	cr_expect_eq(decode(JOB_DIGEST, &event, &what), 0);
	cr_expect_eq(what, WIRE_RESULT);
	cr_expect_eq(result.sha256[0], 7);
	cr_expect_eq(decode(JOB_RECEIVE, &event, &what), 0);
	cr_expect_eq(what, WIRE_RESULT);
	cr_expect_eq(decode(JOB_EXTRACT, &event, &what), 0);
	cr_expect_eq(what, WIRE_DIGESTED);
	digested.sha256.len = 5;
	cr_expect_eq(decode(JOB_DIGEST, &event, &what), -EBADMSG);
}

typedef Pyenvd__Worker__RequirementsRead__File read_file;

static read_file file_of(const char *path, const char *name, uint8_t digest[SHA256_SIZE])
{
	read_file file = PYENVD__WORKER__REQUIREMENTS_READ__FILE__INIT;

	file.path = (char *)path;
	file.name = (char *)name;
	file.sha256.data = digest;
	file.sha256.len = digest ? SHA256_SIZE : 0;
	return file;
}

Test(wire, the_files_of_requirements_have_paths_and_names)
{
	static uint8_t digest[SHA256_SIZE] = { 7 };
	Pyenvd__Worker__RequirementsRead read = PYENVD__WORKER__REQUIREMENTS_READ__INIT;
	Pyenvd__Worker__Event event = PYENVD__WORKER__EVENT__INIT;
	read_file first = file_of("/x/r.txt", "r.txt", digest), directory = file_of("/w", "", NULL);
	read_file package = file_of("a.whl", "", digest);
	enum wire_event what;

	read.sha256.data = digest;
	read.sha256.len = SHA256_SIZE;
	read.n_files = read.n_packages = 1;
	read.files = (read_file *[]){ &first };
	read.packages = (read_file *[]){ &package };
	event.event_case = PYENVD__WORKER__EVENT__EVENT_REQUIREMENTS_READ;
	event.requirements_read = &read;
	cr_expect_eq(decode(JOB_REQUIREMENTS, &event, &what), -EBADMSG);
	read.directory = &directory;
	cr_assert_eq(decode(JOB_REQUIREMENTS, &event, &what), 0);
	cr_expect_eq(what, WIRE_RESULT);
	cr_assert_eq(result.file_count, 3);
	cr_expect_str_eq(result.files[0].path, "/x/r.txt");
	cr_expect_str_eq(result.files[0].name, "r.txt");
	cr_expect_str_eq(result.files[1].path, "/w");
	cr_expect_null(result.files[1].name);
	cr_expect_str_eq(result.files[2].path, "/w/a.whl");
	cr_expect_str_eq(result.files[2].name, "packages/a.whl");
	cr_expect_eq(result.files[2].sha256[0], 7);
	wire_kept_deinit(&kept);

	directory.path = (char *)"";
	cr_assert_eq(decode(JOB_REQUIREMENTS, &event, &what), 0);
	cr_assert_eq(result.file_count, 2);
	cr_expect_str_eq(result.files[1].name, "packages/a.whl");
	wire_kept_deinit(&kept);
	package.sha256.len = 5;
	cr_expect_eq(decode(JOB_REQUIREMENTS, &event, &what), -EBADMSG);
}

Test(wire, a_failure_without_a_sensible_errno_is_a_failure)
{
	Pyenvd__Worker__Failure failure = PYENVD__WORKER__FAILURE__INIT;
	Pyenvd__Worker__Event event = PYENVD__WORKER__EVENT__INIT;
	enum wire_event what;

	failure.error = 0;
	failure.text = (char *)"why";
	event.event_case = PYENVD__WORKER__EVENT__EVENT_FAILURE;
	event.failure = &failure;
	cr_expect_eq(decode(JOB_DIGEST, &event, &what), 0);
	cr_expect_eq(what, WIRE_FAILURE);
	cr_expect_eq(err.r, -EIO);
	cr_expect_str_eq(err.text, "why");
}

Test(wire, what_is_no_event_is_refused)
{
	struct job job = { .kind = JOB_DIGEST };
	enum wire_event what;

	cr_expect_eq(wire_decode_event(&job, "\xff\xff", 2, &what, &result, &kept, &progress, &err),
		-EBADMSG);
	cr_expect_eq(
		wire_decode_event(&job, "", 0, &what, &result, &kept, &progress, &err), -EBADMSG);
}
