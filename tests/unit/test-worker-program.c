/* The real program, over its socket. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include "base/buffer.h"
#include "base/fs.h"
#include "idler.h"
#include "tests/support/scratch.h"
#include "tests/support/trees.h"
#include "worker.pb-c.h"

typedef Pyenvd__Worker__Event Event;

static char *scratch, *directory;
static int fd = -1, directory_fd;
static pid_t pid;
static Pyenvd__Worker__Job job;
static Pyenvd__Worker__Identity peer;

static void set_up(void)
{
	const char *program = getenv("WORKER");
	int pair[2];

	cr_assert_not_null(program);
	scratch = scratch_make();
	directory = text_format("%s/layer", scratch);
	cr_assert_eq(mkdir(directory, 0700), 0);
	directory_fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	cr_assert_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	fd = pair[0];
	pid = fork();
	if (pid == 0) {
		dup2(pair[1], 3);
		if (pair[1] == 3)
			fcntl(3, F_SETFD, 0);
		execl(program, program, NULL);
		_exit(127);
	}
	close(pair[1]);
	pyenvd__worker__job__init(&job);
	pyenvd__worker__identity__init(&peer);
	peer.uid = geteuid();
	peer.gid = getegid();
	job.peer = &peer;
}

static void tear_down(void)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	close(fd);
	close(directory_fd);
	free(directory);
	scratch_remove(scratch);
}

static void send_job(const int *fds, size_t count)
{
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(2 * sizeof(int))];
	} control = { 0 };
	uint8_t packet[8192];
	struct iovec part = { packet, pyenvd__worker__job__pack(&job, packet) };
	struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1 };

	if (count) {
		message.msg_control = &control;
		message.msg_controllen = CMSG_SPACE(count * sizeof(int));
		control.header.cmsg_level = SOL_SOCKET;
		control.header.cmsg_type = SCM_RIGHTS;
		control.header.cmsg_len = CMSG_LEN(count * sizeof(int));
		memcpy(CMSG_DATA(&control.header), fds, count * sizeof(int));
	}
	cr_assert_eq(sendmsg(fd, &message, 0), (ssize_t)part.iov_len);
}

/* The next event that is no progress; NULL when the worker is gone. */
static Event *next_event(void)
{
	uint8_t packet[65536];
	Event *event;
	ssize_t n;

	while ((n = recv(fd, packet, sizeof(packet), 0)) > 0) {
		event = pyenvd__worker__event__unpack(NULL, (size_t)n, packet);
		cr_assert_not_null(event);
		if (event->event_case != PYENVD__WORKER__EVENT__EVENT_PROGRESS)
			return event;
		pyenvd__worker__event__free_unpacked(event, NULL);
	}
	return NULL;
}

static Event *expect_event(Pyenvd__Worker__Event__EventCase wanted)
{
	Event *event = next_event();

	cr_assert_not_null(event);
	cr_assert_eq(event->event_case, wanted, "%d: %s", (int)event->event_case,
		event->event_case == PYENVD__WORKER__EVENT__EVENT_FAILURE ? event->failure->text
									  : "");
	return event;
}

static void free_event(Event *event)
{
	pyenvd__worker__event__free_unpacked(event, NULL);
}

static void expect_failure(int error, const char *reason, const char *words)
{
	Event *event = expect_event(PYENVD__WORKER__EVENT__EVENT_FAILURE);

	cr_expect_eq(event->failure->error, error, "%d", event->failure->error);
	cr_expect_str_eq(event->failure->reason, reason);
	cr_expect(strstr(event->failure->text, words), "%s", event->failure->text);
	free_event(event);
}

/* Its exit status. */
static int wait_for_end(void)
{
	struct pollfd p = { .fd = (int)syscall(SYS_pidfd_open, pid, 0), .events = POLLIN };
	int status = -1;

	cr_assert_eq(poll(&p, 1, 10000), 1, "it lives on");
	close(p.fd);
	waitpid(pid, &status, 0);
	return status;
}

TestSuite(worker_program, .init = set_up, .fini = tear_down);

Test(worker_program, a_digest_comes_after_the_source_was_opened)
{
	Pyenvd__Worker__Digest digest = PYENVD__WORKER__DIGEST__INIT;
	Pyenvd__Worker__Source source = PYENVD__WORKER__SOURCE__INIT;
	static const uint8_t abc[] = { 0xba, 0x78, 0x16, 0xbf };
	_cleanup_free_ char *path = text_format("%s/abc", scratch);
	Event *event;

	trees_write(scratch, "abc", "abc", 3, 0644);
	source.path = path;
	digest.source = &source;
	job.job_case = PYENVD__WORKER__JOB__JOB_DIGEST;
	job.digest = &digest;
	send_job(NULL, 0);
	event = expect_event(PYENVD__WORKER__EVENT__EVENT_OPENED);
	cr_expect_eq(event->opened->identity->size, 3);
	free_event(event);
	event = expect_event(PYENVD__WORKER__EVENT__EVENT_DIGESTED);
	cr_assert_eq(event->digested->sha256.len, 32);
	cr_expect_arr_eq(event->digested->sha256.data, abc, 4);
	free_event(event);
	cr_expect_null(next_event());
	cr_expect_eq(wait_for_end(), 0);
}

static void ask_copy(Pyenvd__Worker__Digest *digest, Pyenvd__Worker__Source *source, char *path)
{
	trees_write(scratch, "abc", "abc", 3, 0644);
	pyenvd__worker__digest__init(digest);
	pyenvd__worker__source__init(source);
	source->path = path;
	digest->source = source;
	digest->copy = true;
	job.job_case = PYENVD__WORKER__JOB__JOB_DIGEST;
	job.digest = digest;
}

Test(worker_program, a_copy_is_digested_in_place_of_its_source)
{
	static const uint8_t abc[] = { 0xba, 0x78, 0x16, 0xbf };
	_cleanup_free_ char *path = text_format("%s/abc", scratch);
	_cleanup_close_ int to = openat(directory_fd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0400);
	Pyenvd__Worker__Digest digest;
	Pyenvd__Worker__Source source;
	char text[8] = "";
	Event *event;

	ask_copy(&digest, &source, path);
	send_job(&to, 1);
	free_event(expect_event(PYENVD__WORKER__EVENT__EVENT_OPENED));
	event = expect_event(PYENVD__WORKER__EVENT__EVENT_DIGESTED);
	cr_expect_arr_eq(event->digested->sha256.data, abc, 4);
	free_event(event);
	cr_expect_eq(wait_for_end(), 0);
	cr_expect_eq(pread(to, text, sizeof(text), 0), 3);
	cr_expect_str_eq(text, "abc");
}

Test(worker_program, a_copy_needs_a_place)
{
	_cleanup_free_ char *path = text_format("%s/abc", scratch);
	Pyenvd__Worker__Digest digest;
	Pyenvd__Worker__Source source;

	ask_copy(&digest, &source, path);
	send_job(NULL, 0);
	expect_failure(EBADMSG, "", "without the file to copy to");
}

static void ask_extract(Pyenvd__Worker__Extract *extract, Pyenvd__Worker__Source *source,
	Pyenvd__Worker__Limits *limits, char *path)
{
	pyenvd__worker__extract__init(extract);
	pyenvd__worker__source__init(source);
	pyenvd__worker__limits__init(limits);
	source->path = path;
	extract->source = source;
	extract->limits = limits;
	extract->threads = 2;
	extract->hash = true;
	extract->directory = directory;
	extract->header = (char *)"a header";
	extract->access_uid = peer.uid;
	job.job_case = PYENVD__WORKER__JOB__JOB_EXTRACT;
	job.extract = extract;
}

Test(worker_program, an_archive_becomes_a_layer)
{
	_cleanup_free_ char *path = trees_archive("plain.tar.gz"), *is = NULL, *tree = NULL;
	_cleanup_free_ char *expected = trees_expected("plain.tar.gz");
	Pyenvd__Worker__Extract extract;
	Pyenvd__Worker__Source source;
	Pyenvd__Worker__Limits limits;
	Event *event;

	ask_extract(&extract, &source, &limits, path);
	send_job(&directory_fd, 1);
	free_event(expect_event(PYENVD__WORKER__EVENT__EVENT_OPENED));
	free_event(expect_event(PYENVD__WORKER__EVENT__EVENT_DIGESTED));
	event = expect_event(PYENVD__WORKER__EVENT__EVENT_EXTRACTED);
	cr_expect_str_eq(event->extracted->format, "tar+gzip");
	cr_expect_eq(event->extracted->entries, 14);
	free_event(event);
	cr_expect_eq(wait_for_end(), 0);
	tree = text_format("%s/tree", directory);
	is = trees_describe(tree);
	cr_expect_str_eq(is, expected);
	cr_expect(trees_exists(directory, "manifest"));
}

Test(worker_program, a_refusal_names_the_entry_and_the_reason)
{
	_cleanup_free_ char *path = trees_archive("dotdot.zip");
	Pyenvd__Worker__Extract extract;
	Pyenvd__Worker__Source source;
	Pyenvd__Worker__Limits limits;

	ask_extract(&extract, &source, &limits, path);
	extract.hash = false;
	send_job(&directory_fd, 1);
	free_event(expect_event(PYENVD__WORKER__EVENT__EVENT_OPENED));
	expect_failure(EINVAL, "ENTRY_FORBIDDEN", "'a/../../evil'");
	cr_expect_null(next_event());
	cr_expect_neq(wait_for_end(), 0);
}

Test(worker_program, what_it_says_is_text_whatever_the_names)
{
	Pyenvd__Worker__Digest digest = PYENVD__WORKER__DIGEST__INIT;
	Pyenvd__Worker__Source source = PYENVD__WORKER__SOURCE__INIT;

	source.path = (char *)"/nowhere/caf\xe9";
	digest.source = &source;
	job.job_case = PYENVD__WORKER__JOB__JOB_DIGEST;
	job.digest = &digest;
	send_job(NULL, 0);
	expect_failure(ENOENT, "SOURCE_NOT_FOUND", "'/nowhere/caf?' is not there");
}

Test(worker_program, nothing_is_done_without_saying_for_whom)
{
	Pyenvd__Worker__Digest digest = PYENVD__WORKER__DIGEST__INIT;
	Pyenvd__Worker__Source source = PYENVD__WORKER__SOURCE__INIT;

	source.path = (char *)"/etc/passwd";
	digest.source = &source;
	job.peer = NULL;
	job.job_case = PYENVD__WORKER__JOB__JOB_DIGEST;
	job.digest = &digest;
	send_job(NULL, 0);
	expect_failure(EBADMSG, "", "for whom");
}

Test(worker_program, nothing_is_done_without_descriptors)
{
	Pyenvd__Worker__Sync sync = PYENVD__WORKER__SYNC__INIT;

	job.job_case = PYENVD__WORKER__JOB__JOB_SYNC;
	job.sync = &sync;
	send_job(NULL, 0);
	expect_failure(EBADMSG, "", "without its descriptors");
}

Test(worker_program, a_source_that_shrinks_under_its_eyes_has_changed)
{
	Pyenvd__Worker__Digest digest = PYENVD__WORKER__DIGEST__INIT;
	Pyenvd__Worker__Source source = PYENVD__WORKER__SOURCE__INIT;
	_cleanup_free_ char *path = text_format("%s/large", scratch);

	/* It takes seconds to read, and nothing to make. */
	trees_write(scratch, "large", "x", 1, 0644);
	cr_assert_eq(truncate(path, (off_t)16 << 30), 0);
	source.path = path;
	digest.source = &source;
	job.job_case = PYENVD__WORKER__JOB__JOB_DIGEST;
	job.digest = &digest;
	send_job(NULL, 0);
	free_event(expect_event(PYENVD__WORKER__EVENT__EVENT_OPENED));
	cr_assert_eq(truncate(path, 1), 0);
	expect_failure(ESTALE, "SOURCE_CHANGED", "/large' changed while it was being read");
	cr_expect_neq(wait_for_end(), 0);
}

Test(worker_program, it_ends_when_the_daemon_does_whatever_it_waits_for)
{
	Pyenvd__Worker__Remove remove = PYENVD__WORKER__REMOVE__INIT;
	int parent = open(scratch, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	char *names[] = { (char *)"layer" };

	cr_assert_eq(flock(directory_fd, LOCK_EX), 0);
	remove.n_names = 1;
	remove.names = names;
	remove.layers = true;
	job.job_case = PYENVD__WORKER__JOB__JOB_REMOVE;
	job.remove = &remove;
	send_job(&parent, 1);
	close(parent);
	close(fd);
	fd = -1;
	cr_expect_neq(wait_for_end(), 0);
	cr_expect(trees_exists(scratch, "layer"));
}

Test(worker_program, removing_tells_what_is_left)
{
	Pyenvd__Worker__Remove remove = PYENVD__WORKER__REMOVE__INIT;
	int parent = open(scratch, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	char *names[] = { (char *)"layer", (char *)".." };
	Event *event;

	trees_write(scratch, "layer/tree/a/file", "x", 1, 0444);
	remove.n_names = 2;
	remove.names = names;
	remove.layers = true;
	remove.threads = 2;
	job.peer = NULL;
	job.job_case = PYENVD__WORKER__JOB__JOB_REMOVE;
	job.remove = &remove;
	send_job(&parent, 1);
	close(parent);
	event = expect_event(PYENVD__WORKER__EVENT__EVENT_REMOVED);
	cr_expect_eq(event->removed->n_failures, 1);
	free_event(event);
	cr_expect_not(trees_exists(scratch, "layer"));
	cr_expect_eq(wait_for_end(), 0);
}

Test(worker_program, a_file_system_is_synced)
{
	Pyenvd__Worker__Sync sync = PYENVD__WORKER__SYNC__INIT;

	job.peer = NULL;
	job.job_case = PYENVD__WORKER__JOB__JOB_SYNC;
	job.sync = &sync;
	send_job(&directory_fd, 1);
	free_event(expect_event(PYENVD__WORKER__EVENT__EVENT_DONE));
	cr_expect_eq(wait_for_end(), 0);
}

Test(worker_program, a_private_copy_is_made_as_its_owner)
{
	Pyenvd__Worker__Copy copy = PYENVD__WORKER__COPY__INIT;
	_cleanup_free_ char *to = text_format("%s/to", scratch);
	_cleanup_free_ char *made = text_format("%s/to/a", scratch);
	int fds[2] = { directory_fd, -1 };
	struct stat st;

	if (geteuid() == 0)
		peer.uid = peer.gid = 4711;
	trees_write(directory, "a", "x", 1, 0444);
	cr_assert_eq(chmod(scratch, 0711), 0);
	cr_assert_eq(chmod(directory, 0755), 0);
	cr_assert_eq(mkdir(to, 0700), 0);
	cr_assert_eq(chown(to, peer.uid, peer.gid), 0);
	fds[1] = open(to, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	job.job_case = PYENVD__WORKER__JOB__JOB_COPY;
	job.copy = &copy;
	send_job(fds, 2);
	close(fds[1]);
	free_event(expect_event(PYENVD__WORKER__EVENT__EVENT_DONE));
	cr_assert_eq(stat(made, &st), 0);
	cr_expect_eq(st.st_uid, peer.uid);
	cr_expect_eq(st.st_mode & 07777, 0644);
}

/* ---- uploads */

/* Descriptors of a Receive: @content in a pipe whose other end is closed, and a file. */
static void ask_receive(
	Pyenvd__Worker__Receive *receive, const char *content, uint64_t size, int fds[2])
{
	_cleanup_free_ char *path = text_format("%s/upload", scratch);
	int ends[2];

	cr_assert_eq(pipe(ends), 0);
	cr_assert_eq(write(ends[1], content, strlen(content)), (ssize_t)strlen(content));
	close(ends[1]);
	fds[0] = ends[0];
	fds[1] = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	pyenvd__worker__receive__init(receive);
	receive->size = size;
	job.peer = NULL;
	job.job_case = PYENVD__WORKER__JOB__JOB_RECEIVE;
	job.receive = receive;
	send_job(fds, 2);
	close(fds[0]);
}

Test(worker_program, an_upload_is_written_and_digested)
{
	static const uint8_t abc[] = { 0xba, 0x78, 0x16, 0xbf };
	Pyenvd__Worker__Receive receive;
	char text[8] = "";
	Event *event;
	int fds[2];

	ask_receive(&receive, "abcdef", 3, fds);
	event = expect_event(PYENVD__WORKER__EVENT__EVENT_DIGESTED);
	cr_assert_eq(event->digested->sha256.len, 32);
	cr_expect_arr_eq(event->digested->sha256.data, abc, 4);
	free_event(event);
	cr_expect_eq(wait_for_end(), 0);
	cr_expect_eq(pread(fds[1], text, sizeof(text), 0), 3, "and not what is behind");
	cr_expect_str_eq(text, "abc");
	close(fds[1]);
}

Test(worker_program, an_upload_that_breaks_off_is_a_failure)
{
	Pyenvd__Worker__Receive receive;
	int fds[2];

	ask_receive(&receive, "abc", 4, fds);
	expect_failure(EPIPE, "", "broke off");
	cr_expect_neq(wait_for_end(), 0);
	close(fds[1]);
}

Test(worker_program, an_upload_that_has_no_room_is_not_begun)
{
	Pyenvd__Worker__Receive receive;
	int fds[2];

	ask_receive(&receive, "abc", UINT64_C(1) << 60, fds);
	expect_failure(ENOSPC, "NO_SPACE", "bytes left");
	cr_expect_eq(lseek(fds[1], 0, SEEK_END), 0);
	close(fds[1]);
}

Test(worker_program, a_source_may_come_open)
{
	_cleanup_free_ char *path = trees_archive("plain.zip"), *tree = NULL, *is = NULL;
	_cleanup_free_ char *expected = trees_expected("plain.zip");
	int fds[2] = { directory_fd, open(path, O_RDONLY | O_CLOEXEC) };
	Pyenvd__Worker__Extract extract;
	Pyenvd__Worker__Source source;
	Pyenvd__Worker__Limits limits;

	ask_extract(&extract, &source, &limits, (char *)"sha256:abc");
	extract.source_is_open = true;
	send_job(fds, 2);
	close(fds[1]);
	free_event(expect_event(PYENVD__WORKER__EVENT__EVENT_OPENED));
	free_event(expect_event(PYENVD__WORKER__EVENT__EVENT_DIGESTED));
	free_event(expect_event(PYENVD__WORKER__EVENT__EVENT_EXTRACTED));
	cr_expect_eq(wait_for_end(), 0);
	tree = text_format("%s/tree", directory);
	is = trees_describe(tree);
	cr_expect_str_eq(is, expected);
}

Test(worker_program, an_open_source_must_have_come)
{
	Pyenvd__Worker__Extract extract;
	Pyenvd__Worker__Source source;
	Pyenvd__Worker__Limits limits;

	ask_extract(&extract, &source, &limits, (char *)"sha256:abc");
	extract.source_is_open = true;
	send_job(&directory_fd, 1);
	expect_failure(EBADMSG, "", "without its source");
}

/* Sends a job that ends a process of ours, which it returns, with a grace time longer than
 * any test. */
static pid_t ask_end(__sighandler_t on_term)
{
	Pyenvd__Worker__EndProcesses end = PYENVD__WORKER__END_PROCESSES__INIT;
	Pyenvd__Worker__EndProcesses__Process row = PYENVD__WORKER__END_PROCESSES__PROCESS__INIT;
	Pyenvd__Worker__EndProcesses__Process *rows = &row;
	struct process ended;

	signal(SIGTERM, on_term);
	ended = idler_start();
	cr_assert_eq(setpgid(ended.pid, ended.pid), 0);
	row.pid = ended.pid;
	row.start = ended.start;
	end.processes = &rows;
	end.n_processes = 1;
	end.grace_ms = 3600000;
	job.end_processes = &end;
	job.job_case = PYENVD__WORKER__JOB__JOB_END_PROCESSES;
	send_job(NULL, 0);
	return ended.pid;
}

Test(worker_program, processes_are_ended)
{
	pid_t ended = ask_end(SIG_DFL);
	int status;

	free_event(expect_event(PYENVD__WORKER__EVENT__EVENT_DONE));
	cr_expect_eq(wait_for_end(), 0);
	cr_assert_eq(waitpid(ended, &status, 0), ended);
	cr_expect(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);
}

static bool has_child(void)
{
	_cleanup_free_ char *path = text_format("/proc/%d/task/%d/children", (int)pid, (int)pid);
	_cleanup_buffer_ struct buffer children = { 0 };

	cr_assert_eq(fs_read_file(AT_FDCWD, path, 4096, &children), 0);
	return children.size;
}

Test(worker_program, nobody_waits_for_processes_to_end_once_the_daemon_is_gone)
{
	pid_t ended = ask_end(SIG_IGN);

	cr_assert_eq(prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0), 0);
	while (!has_child())
		poll(NULL, 0, 1);
	cr_assert_eq(shutdown(fd, SHUT_RDWR), 0);
	wait_for_end();
	/* The worker's child is ours now; it ends, and the other, in a group of its own, does not. */
	while (waitpid(0, NULL, 0) > 0)
		;
	cr_expect_eq(waitpid(ended, NULL, WNOHANG), 0);
	kill(ended, SIGKILL);
}

Test(worker_program, nobody_is_ended_for_nobody)
{
	pid_t ended;

	job.peer = NULL;
	ended = ask_end(SIG_DFL);
	expect_failure(EBADMSG, "", "for whom");
	cr_expect_eq(waitpid(ended, NULL, WNOHANG), 0);
	kill(ended, SIGKILL);
}
