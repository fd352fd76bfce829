#include "daemon/worker/threads.h"

#include <pthread.h>
#include <stddef.h>

#define MAX_THREADS 64

void threads_run(uint32_t count, void *(*work)(void *), void *data)
{
	pthread_t others[MAX_THREADS];
	size_t n = 0;

	while (n + 1 < count && n < MAX_THREADS &&
		pthread_create(&others[n], NULL, work, data) == 0)
		n++;
	work(data);
	while (n)
		pthread_join(others[--n], NULL);
}
