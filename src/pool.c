/* pool: see include/blkverify/pool.h. */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <blkverify/pool.h>

#include "raw.h"

#define MOST 256
#define DEFAULT_THREADS 8

/* initial-exec TLS of all libraries comes out of it, too. */
#define STACK (256u * 1024)

static unsigned most = DEFAULT_THREADS;

/* Submitted, last first: pushed without a lock, so that a signal handler may
 * submit. */
static _Atomic(struct bv_job *) incoming;

/* Taken from incoming and turned round; only by who holds taking. */
static struct bv_job *waiting;
static _Atomic uint32_t taking;

static _Atomic uint32_t submitted;   /* futex of idle threads */
static _Atomic uint32_t finished;    /* futex of those who drain */
static _Atomic uint32_t draining;
static atomic_uint threads, idle;    /* threads: those that do not pause */

static __thread bool works;          /* this is a thread of the pool */

void bv_pool_start(unsigned count)
{
	most = count == 0 ? DEFAULT_THREADS : count > MOST ? MOST : count;
}

/* Held for a few instructions, by threads of the pool alone. */
static void lock(void)
{
	while (atomic_exchange_explicit(&taking, 1, memory_order_acquire))
		raw_call(SYS_sched_yield, 0, 0, 0, 0, 0, 0);
}

static void unlock(void)
{
	atomic_store_explicit(&taking, 0, memory_order_release);
}

static struct bv_job *next_job(void)
{
	struct bv_job *job;

	lock();
	if (!waiting) {
		struct bv_job *list = atomic_exchange(&incoming, NULL);

		while (list) {
			struct bv_job *rest = list->next;

			list->next = waiting;
			waiting = list;
			list = rest;
		}
	}
	job = waiting;
	if (job)
		waiting = job->next;
	unlock();
	return job;
}

static void note_finished(void)
{
	atomic_fetch_add(&finished, 1);
	if (atomic_load(&draining) > 0)
		raw_futex_wake(&finished, INT32_MAX);
}

static void *work(void *unused)
{
	(void)unused;
	works = true;
	for (;;) {
		uint32_t seen = atomic_load(&submitted);
		struct bv_job *job = next_job();

		if (job) {
			job->run(job);
			note_finished();
			continue;
		}
		atomic_fetch_add(&idle, 1);
		raw_futex_wait(&submitted, seen, NULL);
		atomic_fetch_sub(&idle, 1);
	}
	return NULL;
}

static int make_thread(void)
{
	raw_sigset mask;
	pthread_attr_t attributes;
	pthread_t thread;
	int result;

	if (atomic_fetch_add(&threads, 1) >= most) {
		atomic_fetch_sub(&threads, 1);
		return 0;
	}
	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, STACK);
	pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	mask = raw_sigmask(RAW_SIGNALS_ALL);
	result = pthread_create(&thread, &attributes, work, NULL);
	raw_sigmask(mask);
	pthread_attr_destroy(&attributes);
	if (result)
		atomic_fetch_sub(&threads, 1);
	return -result;
}

int bv_pool_submit(struct bv_job *job)
{
	int result = 0;

	if (atomic_load(&idle) == 0 && atomic_load(&threads) < most)
		result = make_thread();
	if (result < 0 && atomic_load(&threads) == 0)
		return result;
	job->next = atomic_load(&incoming);
	while (!atomic_compare_exchange_weak(&incoming, &job->next, job))
		;
	atomic_fetch_add(&submitted, 1);
	raw_futex_wake(&submitted, 1);
	return 0;
}

/* Who drains counts a job that pauses as finished, and as one more when it
 * goes on. */
bool bv_pool_pause(void)
{
	if (!works)
		return false;
	atomic_fetch_sub(&threads, 1);
	if (atomic_load(&idle) == 0 && make_thread() < 0 &&
	    atomic_load(&threads) == 0) {
		atomic_fetch_add(&threads, 1);
		return false;
	}
	note_finished();
	return true;
}

void bv_pool_resume(void)
{
	atomic_fetch_add(&submitted, 1);
	atomic_fetch_add(&threads, 1);
}

void bv_pool_drain(void)
{
	static const struct timespec tick = { 0, 100 * 1000 * 1000 };
	uint32_t goal = atomic_load(&submitted);
	int ticks = 0;

	atomic_fetch_add(&draining, 1);
	for (;;) {
		uint32_t now = atomic_load(&finished);

		if (now == atomic_load(&submitted))
			break;
		/* As many have ended as there were, but later ones may be
		 * among them: the rest gets a while, since threads that go on
		 * submitting must not hold us for ever. */
		if ((int32_t)(goal - now) <= 0 && ticks++ > 20)
			break;
		raw_futex_wait(&finished, now, &tick);
	}
	atomic_fetch_sub(&draining, 1);
}

void bv_pool_forked(void)
{
	atomic_store(&incoming, NULL);
	waiting = NULL;
	atomic_store(&taking, 0);
	atomic_store(&threads, 0);
	atomic_store(&idle, 0);
	atomic_store(&draining, 0);
	atomic_store(&finished, atomic_load(&submitted));
}
