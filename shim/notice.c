/* notice: telling a program of the end of a request, as its sigevent says. */
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <unistd.h>

#include <blkverify/thread.h>

#include "../src/raw.h"
#include "notice.h"

struct notice {
	void (*function)(union sigval);
	union sigval value;
	_Atomic uint32_t taken;
};

static void *call_function(void *argument)
{
	struct notice *theirs = argument, notice = *theirs;

	atomic_store(&theirs->taken, 1);
	raw_futex_wake(&theirs->taken, 1);
	/* All were blocked where it was made; in glibc's it starts so. */
	raw_sigmask(0);
	notice.function(notice.value);
	return NULL;
}

static void notify_thread(const struct sigevent *event)
{
	struct notice notice = { .function = event->sigev_notify_function,
				 .value = event->sigev_value };
	pthread_attr_t *given = event->sigev_notify_attributes, own;
	pthread_t thread;

	if (!given) {
		pthread_attr_init(&own);
		pthread_attr_setdetachstate(&own, PTHREAD_CREATE_DETACHED);
	}
	if (pthread_create(&thread, given ? given : &own, call_function,
			   &notice) == 0)
		while (!atomic_load(&notice.taken))
			raw_futex_wait(&notice.taken, 0, NULL);
	if (!given)
		pthread_attr_destroy(&own);
}

void bv_notify(const struct sigevent *event)
{
	siginfo_t info = { .si_signo = event->sigev_signo,
			   .si_code = SI_ASYNCIO };

	if (event->sigev_notify == SIGEV_THREAD)
		notify_thread(event);
	if (event->sigev_notify != SIGEV_SIGNAL)
		return;
	info.si_pid = bv_pid;
	info.si_uid = (uid_t)raw_call(SYS_getuid, 0, 0, 0, 0, 0, 0);
	info.si_value = event->sigev_value;
	raw_call(SYS_rt_sigqueueinfo, bv_pid, event->sigev_signo, (long)&info,
		 0, 0, 0);
}
