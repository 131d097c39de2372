/* thread: see include/blkverify/thread.h. */
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>

#include <blkverify/buffer.h>
#include <blkverify/inflight.h>
#include <blkverify/late.h>
#include <blkverify/thread.h>

#include "proc.h"
#include "raw.h"

__thread struct bv_thread bv_thread;
int bv_pid;

int bv_thread_tid(void)
{
	if (bv_thread.tid == 0)
		bv_thread.tid = raw_gettid();
	return bv_thread.tid;
}

/* Room that was given is not enough for some libraries' TLS. */
static int create(pthread_attr_t *attributes, void *(*run)(void *argument),
		  void *argument, struct bv_thread_stack *stack)
{
	pthread_t thread;

	if (stack &&
	    pthread_attr_setstack(attributes, stack, sizeof(*stack)) == 0 &&
	    pthread_create(&thread, attributes, run, argument) == 0)
		return 0;
	pthread_attr_destroy(attributes);
	pthread_attr_init(attributes);
	pthread_attr_setstacksize(attributes, sizeof(*stack));
	pthread_attr_setdetachstate(attributes, PTHREAD_CREATE_DETACHED);
	return pthread_create(&thread, attributes, run, argument);
}

/* Made, and not heard of yet; futex. */
static _Atomic uint32_t unborn;

static void note_birth(void)
{
	uint32_t now = atomic_load(&unborn);

	while (now > 0 && !atomic_compare_exchange_weak(&unborn, &now, now - 1))
		;
	if (now > 0)
		raw_futex_wake(&unborn, INT32_MAX);
}

/* Nothing is in their way but the scheduler. False: there were none. */
static bool wait_for_births(void)
{
	static const struct timespec a_while = { 0, 10 * 1000 * 1000 };
	uint32_t now = atomic_load(&unborn);
	int tries = 500;

	if (now == 0)
		return false;
	for (; now > 0 && tries > 0; now = atomic_load(&unborn), tries--)
		raw_futex_wait(&unborn, now, &a_while);
	return true;
}

int bv_thread_make(void *(*run)(void *argument), void *argument,
		   struct bv_thread_stack *stack)
{
	pthread_attr_t attributes;
	raw_sigset mask;
	int result;

	pthread_attr_init(&attributes);
	pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	mask = raw_block_signals();
	bv_thread.inside = true;
	atomic_fetch_add(&unborn, 1);
	result = create(&attributes, run, argument, stack);
	if (result)
		note_birth();
	bv_thread.inside = false;
	raw_sigmask(mask);
	pthread_attr_destroy(&attributes);
	return -result;
}

#define OWN_THREADS 512

/* Their ids; 0: free. */
static _Atomic int own[OWN_THREADS];

static bool replace(int former, int now)
{
	for (size_t i = 0; i < OWN_THREADS; i++) {
		int expected = former;

		if (atomic_compare_exchange_strong(&own[i], &expected, now))
			return true;
	}
	return false;
}

/* By which libc has every thread change its ids, and waits for all of them. */
#define SIGSETXID 33

void bv_thread_begins(void)
{
	raw_unblock_signal(SIGSETXID);
	bv_thread.own = bv_thread.masked = true;
	replace(0, bv_thread_tid());
	note_birth();
}

static bool is_remembered(int tid)
{
	for (size_t i = 0; i < OWN_THREADS; i++)
		if (atomic_load_explicit(&own[i], memory_order_relaxed) == tid)
			return true;
	return false;
}

bool bv_thread_is_own(int tid)
{
	return is_remembered(tid) || (wait_for_births() && is_remembered(tid));
}

static unsigned owns(void)
{
	unsigned count = 0;

	for (size_t i = 0; i < OWN_THREADS; i++)
		count += atomic_load(&own[i]) != 0;
	return count;
}

/* The process's status, had it no threads of ours; as wait tells it. */
static _Atomic unsigned status_left;

/* The main thread is gone, and every other one is ours. */
bool bv_thread_are_alone(void)
{
	struct proc_stat first;

	if (!bv_proc_stat(0, (unsigned)bv_pid, &first) ||
	    !bv_proc_is_gone(&first) || first.threads != owns() + 1)
		return false;
	atomic_store(&status_left, first.exit_code);
	return true;
}

void bv_thread_ends(void)
{
	unsigned status = atomic_load(&status_left);

	bv_thread.own = bv_thread.masked = false;
	replace(bv_thread_tid(), 0);
	/* pthread_exit leaves 0, and has libc call exit behind the last thread;
	 * this one left by the system call, of which libc does not know. */
	if (status && owns() == 0 && atomic_load(&unborn) == 0)
		raw_exit((int)(status >> 8 & 0xff));
}

void bv_thread_forked(void)
{
	bv_thread.tid = 0;
	bv_thread.own = bv_thread.masked = false;
	bv_pid = raw_getpid();
	for (size_t i = 0; i < OWN_THREADS; i++)
		atomic_store(&own[i], 0);
	atomic_store(&unborn, 0);
	bv_buffer_forked();
}

static bool is_aside(uintptr_t frame)
{
	return frame - bv_thread.aside < BV_ASIDE;
}

/* An operation that a signal handler interrupted has its frame above the
 * handler's; one whose frame is not above ours was left by a longjmp. On an
 * alternate signal stack addresses say nothing, and on a stack aside none but
 * its own. From there a handler goes to no other stack but an alternate one. */
static bool left_behind(uintptr_t frame)
{
	stack_t stack = { .ss_flags = 0 };

	if (is_aside(frame) != is_aside(bv_thread.frame)) {
		if (is_aside(frame))
			return false;
	} else if (frame < bv_thread.frame) {
		return false;
	}
	raw_call(SYS_sigaltstack, 0, (long)&stack, 0, 0, 0, 0);
	return !(stack.ss_flags & SS_ONSTACK);
}

__attribute__((noinline)) void bv_thread_enter(void)
{
	uintptr_t frame = (uintptr_t)__builtin_frame_address(0);

	if (bv_thread.depth > 0 && left_behind(frame)) {
		bv_inflight_abandon();
		bv_buffer_abandon();
		bv_late_abandon();
		bv_thread.depth = 0;
	}
	if (bv_thread.depth++ == 0)
		bv_thread.frame = frame;
}

void bv_thread_leave(void)
{
	bv_thread.depth--;
}
