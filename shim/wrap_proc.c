/* wrap_proc: processes begun and ended past what libc tells its handlers. */
#include <sched.h>

#include <blkverify/alias.h>
#include <blkverify/fdmap.h>
#include <blkverify/inflight.h>
#include <blkverify/late.h>
#include <blkverify/memory.h>
#include <blkverify/policy.h>
#include <blkverify/pool.h>
#include <blkverify/queue.h>
#include <blkverify/thread.h>

#include "../src/raw.h"
#include "census.h"
#include "environment.h"
#include "guard.h"
#include "maps.h"
#include "ops.h"
#include "ring.h"
#include "task.h"
#include "trap.h"
#include "uring.h"

/* Out of a signal handler that interrupted an operation of ours, which will
 * not go on: others may be waiting for its range. */
void op_longjmp(const char *call, void (*real)(struct __jmp_buf_tag *, int),
		struct __jmp_buf_tag *env, int value)
{
	(void)call;
	/* It was a handler of SIGABRT, on a thread that has found a wrong byte:
	 * where env is, another thread is at work. */
	if (bv_thread.own)
		bv_policy_die();
	if (bv_thread.depth > 0)
		bv_inflight_abandon();
	/* A mask of before the trap. */
	if (atomic_load(&bv_trap_on) && env->__mask_was_saved)
		sigdelset(&env->__saved_mask, SIGSYS);
	real(env, value);
	__builtin_unreachable();
}

void bv_child_begun(void)
{
	bv_thread_forked();
	bv_policy_forked();
	bv_alias_forked();
	bv_verify_forked();
	bv_pool_forked(&bv_requests);
	bv_queue_forked();
	bv_late_forked();
	bv_environment_forked();
	bv_ring_forked();
	bv_task_forked();
	bv_uring_forked();
	bv_maps_forked();
	bv_memory_forked();
	bv_trap_forked();
}

/* Unlike fork, it runs no pthread_atfork handlers. */
pid_t op__Fork(const char *call)
{
	pid_t pid;

	(void)call;
	bv_late_settle();
	pid = real__Fork();
	if (pid == 0)
		bv_child_begun();
	return pid;
}

struct entry {
	int (*function)(void *);
	void *argument;
};

static int enter_child(void *data)
{
	struct entry entry = *(struct entry *)data;

	bv_child_begun();
	return entry.function(entry.argument);
}

int op_clone(const char *call, int (*function)(void *), void *stack, int flags,
	     void *argument, void *parent, void *tls, void *child)
{
	struct entry entry = { function, argument };

	(void)call;
	/* A copy of our memory, in which entry still stands. */
	if (!(flags & CLONE_VM)) {
		bv_late_settle();
		return real_clone(function ? enter_child : NULL, stack, flags,
				  &entry, parent, tls, child);
	}
	/* Our memory with a table of descriptors of its own. A vfork is
	 * recognised by its process id. */
	if (!(flags & (CLONE_FILES | CLONE_VFORK)))
		bv_fd_distrust();
	return real_clone(function, stack, flags, argument, parent, tls, child);
}

int op_unshare(const char *call, int flags)
{
	(void)call;
	if (flags & CLONE_FILES)
		bv_fd_distrust();
	return real_unshare(flags);
}

/* A child of vfork, whose exec failed, ends without its parent's memory ending
 * with it. */
void bv_leave(void)
{
	if (raw_getpid() != bv_pid)
		return;
	bv_pool_drain(&bv_requests);
	bv_memory_flush_all("exit");
	bv_late_end();
	bv_policy_stats();
}

void op__exit(const char *call, int status)
{
	(void)call;
	bv_leave();
	real__exit(status);
	__builtin_unreachable();
}

static int is_another(int tid, void *unused)
{
	(void)tid;
	(void)unused;
	return 1;
}

/* The last thread takes the process with it, and threads of ours are none. A
 * child of vfork has nothing of ours to itself. */
long op_exit_thread(int status)
{
	if (raw_getpid() == bv_pid && bv_census(is_another, NULL) == 0) {
		bv_leave();
		raw_exit(status);
	}
	return raw_call(SYS_exit, status, 0, 0, 0, 0, 0);
}

/* A wrong byte is what a program may stumble over long before it is compared. */

void op_abort(const char *call)
{
	(void)call;
	bv_late_settle();
	real_abort();
	__builtin_unreachable();
}

void op_assert(const char *call, const char *assertion, const char *file, int line)
{
	(void)call;
	bv_late_settle();
	real___assert(assertion, file, line);
	__builtin_unreachable();
}

void op_assert_fail(const char *call, const char *assertion, const char *file,
		    unsigned line, const char *function)
{
	(void)call;
	bv_late_settle();
	real___assert_fail(assertion, file, line, function);
	__builtin_unreachable();
}

void op_assert_perror_fail(const char *call, int error, const char *file,
			   unsigned line, const char *function)
{
	(void)call;
	bv_late_settle();
	real___assert_perror_fail(error, file, line, function);
	__builtin_unreachable();
}
