/* thread: what the engine knows of the calling thread and process.
 *
 * Initial-exec TLS, a few words: a preloaded library with large TLS breaks
 * thread creation elsewhere.
 */
#ifndef BLKVERIFY_THREAD_H
#define BLKVERIFY_THREAD_H

#include <stdbool.h>
#include <stdint.h>

struct bv_thread {
	int tid;                     /* 0: not asked yet */
	unsigned depth;              /* operations in progress: more than one
	                                when a signal handler came in between */
	uint64_t buffers;            /* bit n: buffer n is ours */
	uintptr_t frame;             /* stack address of the outermost one */
	bool inside;                 /* in a call of the engine's own that may
	                                come back through a wrapper */
};

extern __thread struct bv_thread bv_thread
	__attribute__((tls_model("initial-exec")));

/* Kept by bv_thread_forked; the kernel's answer is one system call away when
 * it must be certain. */
extern int bv_pid;

/* The calling thread's id, asked once. */
int bv_thread_tid(void);

/* Around each operation of the engine. Entering finds out if an earlier one
 * was left by a longjmp, and clears up after it. */
void bv_thread_enter(void);
void bv_thread_leave(void);

/* In the child after fork: another process, one thread. */
void bv_thread_forked(void);

#endif
