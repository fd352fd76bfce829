#include "base/pidfd.h"

#include <errno.h>
#include <pthread.h>
#include <sys/syscall.h>
#include "idler.h"

Test(pidfd, tells_when_a_process_has_ended)
{
	pid_t pid = idler_start().pid;
	siginfo_t info;
	int pidfd;

	pidfd = pidfd_of(pid);
	cr_assert_geq(pidfd, 0);
	cr_expect_not(pidfd_has_ended(pidfd));
	kill(pid, SIGKILL);
	cr_assert_eq(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
	cr_expect(pidfd_has_ended(pidfd), "nobody has waited for it");
	cr_assert_eq(waitpid(pid, NULL, 0), pid);
	cr_expect(pidfd_has_ended(pidfd));
	cr_expect_eq(pidfd_of(pid), -ESRCH);
	close(pidfd);
}

Test(pidfd, none_has_ended)
{
	cr_expect(pidfd_has_ended(-1));
	cr_expect(pidfd_has_ended(-ESRCH));
}

static pthread_barrier_t there, through;

static void *stay(void *id)
{
	*(pid_t *)id = (pid_t)syscall(SYS_gettid);
	pthread_barrier_wait(&there);
	pthread_barrier_wait(&through);
	return NULL;
}

Test(pidfd, a_thread_is_no_process)
{
	pthread_t thread;
	pid_t id;

	pthread_barrier_init(&there, NULL, 2);
	pthread_barrier_init(&through, NULL, 2);
	cr_assert_eq(pthread_create(&thread, NULL, stay, &id), 0);
	pthread_barrier_wait(&there);
	cr_expect_eq(pidfd_of(id), -ESRCH);
	pthread_barrier_wait(&through);
	pthread_join(thread, NULL);
}
