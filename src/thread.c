/* thread: see include/blkverify/thread.h. */
#include <signal.h>

#include <blkverify/buffer.h>
#include <blkverify/inflight.h>
#include <blkverify/thread.h>

#include "raw.h"

__thread struct bv_thread bv_thread;
int bv_pid;

int bv_thread_tid(void)
{
	if (bv_thread.tid == 0)
		bv_thread.tid = raw_gettid();
	return bv_thread.tid;
}

void bv_thread_forked(void)
{
	bv_thread.tid = 0;
	bv_pid = raw_getpid();
	bv_buffer_forked();
}

/* An operation that a signal handler interrupted has its frame above the
 * handler's; one whose frame is not above ours was left by a longjmp. On an
 * alternate signal stack addresses say nothing. */
static bool left_behind(uintptr_t frame)
{
	stack_t stack = { .ss_flags = 0 };

	if (frame < bv_thread.frame)
		return false;
	raw_call(SYS_sigaltstack, 0, (long)&stack, 0, 0, 0, 0);
	return !(stack.ss_flags & SS_ONSTACK);
}

__attribute__((noinline)) void bv_thread_enter(void)
{
	uintptr_t frame = (uintptr_t)__builtin_frame_address(0);

	if (bv_thread.depth > 0 && left_behind(frame)) {
		bv_inflight_abandon();
		bv_buffer_abandon();
		bv_thread.depth = 0;
	}
	if (bv_thread.depth++ == 0)
		bv_thread.frame = frame;
}

void bv_thread_leave(void)
{
	bv_thread.depth--;
}
